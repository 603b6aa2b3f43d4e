"""Messages say what would work, as it must be typed where they are read."""

from __future__ import annotations

import bdb
import pdb  # noqa: T100
import subprocess
import sys

import pytest

from pyflow import each, pipeline, task
from pyflow.errors import DefinitionError

PYFLOW = [sys.executable, "-m", "pyflow.cli"]


@task
def fail(x):
    raise ValueError(x)


@task
def numbers(n):
    return list(range(n))


@task
def add(x, y):
    return x + y


@task
def pair(x) -> tuple[int, int]:
    return [x] * x


@task(outputs=2)
def declared(x):
    return [x] * x


@task
def stops(x):
    breakpoint()  # noqa: T100
    return x


@task
def stops_by_pdb(x):
    pdb.set_trace()  # noqa: T100
    return x


@pipeline
def one(x):
    return fail(x)


@pipeline
def uneven():
    return add.map(x=each(numbers(3)), y=each(numbers(2)))


@pipeline
def unpacked():
    a, b = pair(3)
    return a, b


@pipeline
def said():
    a, b = declared(3)
    return a, b


@pipeline
def debugged():
    return stops(1)


@pipeline
def debugged_by_pdb():
    return stops_by_pdb(1)


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_command_for_the_log_works_as_it_is_written(tmp_path):
    """A run in another store than the settings name is found by the command in its error, which says that store."""
    for store in (None, str(tmp_path / "other store")):
        with pytest.raises(ValueError, match="1") as caught:
            (one if store is None else one.with_options(store=store))(1)
        (note,) = [n for n in caught.value.__notes__ if n.startswith("Raised by task")]
        command = note.partition("Its log: pyflow ")[2]
        assert ("--store" in command) == (store is not None)
        done = subprocess.run(f"{' '.join(PYFLOW)} {command}", shell=True, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "Nothing was printed.\n")


def test_the_command_line_repeats_the_store_that_it_was_given(tmp_path):
    """``pyflow run`` and ``pyflow show`` with ``--store`` name it in what they advise."""
    (tmp_path / "flow.py").write_text(
        "from pyflow import pipeline, task\n@task\ndef fail(): print('hm'); 1 / 0\n@pipeline\ndef p(): return fail()\n"
    )
    run = [*PYFLOW, "run", "flow.py", "--store", "elsewhere"]
    said = subprocess.run(run, capture_output=True, text=True, check=False).stderr
    assert said.count("--store") == 2
    shown = subprocess.run(
        [*PYFLOW, "show", "latest", "--store", "elsewhere"], capture_output=True, text=True, check=False
    )
    assert "--store" in shown.stdout


def test_unequal_maps_name_their_arguments():
    """Lengths that are known at run time only are told with the names of what they belong to."""
    with pytest.raises(DefinitionError, match="different lengths: 'x' has 3 and 'y' has 2"):
        uneven()


def test_a_wrong_number_of_parts_names_what_said_the_number():
    """It is the option, or the annotation."""
    with pytest.raises(DefinitionError, match="returned 3 parts, and its annotation says 2"):
        unpacked()
    with pytest.raises(DefinitionError, match="returned 3 parts, and its option says outputs=2"):
        said()


def test_a_breakpoint_in_a_worker_says_where_one_works(monkeypatch):
    """There is nobody to type there; ``inprocess`` is named, and a debugger of the user's own is left alone."""
    with pytest.raises(RuntimeError, match="executor='inprocess'"):
        debugged()
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    assert debugged() == 1


@task
def table():
    return {"a": [1, 2]}


@pytest.mark.parametrize("executor", ["local", "inprocess"])
def test_a_part_that_the_result_lacks_fails_the_run(executor):
    """Whoever makes the value looks for the part, so the run has failed, and the error names part, task and line."""

    @pipeline
    def lacking():
        return table()["b"]

    @pipeline
    def beyond():
        return add.map(numbers(0), y=1)[0]

    @pipeline
    def having():
        return table()["a"][1], add.map(numbers(2), y=1)[0]

    run = lacking.with_options(executor=executor).submit()
    with pytest.raises(KeyError, match="b") as caught:
        run.result()
    assert run.status == "failed"
    at = f"{__file__}:{lacking.fn.__code__.co_firstlineno + 2}"
    assert f"This was raised by taking ['b'] of the result of 'table' at {at}." in caught.value.__notes__
    run = beyond.with_options(executor=executor).submit()
    with pytest.raises(IndexError) as caught:
        run.result()
    assert any("of the result of 'add'" in note for note in caught.value.__notes__)
    assert having.with_options(executor=executor)() == (2, 1)


def test_a_failed_item_of_a_mapped_pipeline_has_one_name_everywhere(tmp_path):
    """The exit handler, the summary and the note say ``per_scene[1]/fail``, as listings do."""
    told = tmp_path / "told"

    @task
    def handler(outcome):
        told.write_text(" ".join(name for name, _, _ in outcome.failures))

    @task
    def fail_at_one(x):
        if x == 1:
            raise ValueError(x)

    @pipeline
    def per_scene(x):
        return fail_at_one(x)

    @pipeline(on_exit=handler)
    def outer():
        return per_scene.map([0, 1])

    run = outer.submit()
    with pytest.raises(ValueError, match="1") as caught:
        run.result()
    name = "per_scene[1]/fail_at_one"
    assert told.read_text() == name
    assert [failure[1] for failure in run.summary.failures] == [name]
    assert any(f"Raised by task {name!r}" in note for note in caught.value.__notes__)
    assert run.nodes["handler"].status == "succeeded"


def test_pdb_in_a_worker_says_where_it_works():
    """A debugger that ends at once, for nobody can type to it, ends with the same advice."""
    with pytest.raises(bdb.BdbQuit) as caught:
        debugged_by_pdb()
    assert any("executor='inprocess'" in note for note in caught.value.__notes__)

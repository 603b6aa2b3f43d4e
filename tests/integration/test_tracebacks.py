"""What a person reads when a task has failed: their own lines, marked where Python marks them, and where to look further."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pytest

from pyflow import load_run, pipeline, task

SCRIPT = """
import threading

from pyflow import pipeline, task

class Odd(Exception):
    def __init__(self, a, *, b):
        super().__init__(a, b)

@task
def convert(row):
    try:
        return {"a": 1}[row["kind"]]
    except KeyError as error:
        raise ValueError(f"unknown kind in {row}") from error

@task
def divide(x):
    try:
        return 1 / x
    except ZeroDivisionError:
        return [1, (x + 1)["none"]]

@pipeline
def convert_one():
    return convert({"kind": "b"})

@pipeline
def divide_one():
    return divide(0)

@task
def size():
    return {"width": [1]}

lock = threading.Lock()

@task
def guard():
    with lock:
        return 1

@pipeline
def hold_lock():
    return guard()

@pipeline
def take_part():
    width = size()["width"]
    third = width[3]
    return divide(third)

if __name__ == "__main__":
    %s
"""


def outcome_of(tmp_path, statement):
    """What a plain script says on standard error."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT % statement)
    ended = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    return ended.stderr


@pytest.mark.parametrize("executor", ["local", "inprocess"])
def test_a_plain_script_shows_its_own_lines_and_the_command_for_the_log(tmp_path, executor):
    """Python's own report has no frame of pyflow, and ends with task, run and command, on every Python."""
    said = outcome_of(tmp_path, f"convert_one.with_options(executor={executor!r}, progress=False)()")
    assert "pyflow/" not in said.replace("pyflow logs", "")
    assert said.index("KeyError: 'b'") < said.index("direct cause") < said.index("ValueError: unknown kind")
    assert 'script.py", line 13, in convert' in said
    assert "raise ValueError(f" in said
    last = said.rstrip().splitlines()[-1]
    assert last.startswith("Raised by task 'convert', attempt 1, in run ")
    assert "pyflow logs" in last


def test_what_pyflow_has_found_is_told_without_its_own_lines(tmp_path):
    """The error that it came of is told in a line, and not where in pyflow that was raised."""
    said = outcome_of(tmp_path, "hold_lock()")
    assert said.startswith("TypeError: cannot pickle '_thread.lock' object\n\nThe above exception was the direct cause")
    assert "NotSerializableError: Task 'guard' cannot be serialized: guard() uses the global 'lock'" in said
    assert "pyflow/" not in said


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        (
            "task(divide.fn, cpu=2)",
            "DefinitionError: @task of 'divide' at {here}: There is no option 'cpu'. Did you mean 'cpus'?",
        ),
        ("task(timeout='soon')", "DefinitionError: @task at {here}: timeout must be a duration like"),
        ("import pyflow; pyflow.configure(exectuor='local')", "ConfigError: configure() has no setting 'exectuor'"),
        ("import pyflow; pyflow.load_run('20200101-000000-x-aaaaaa')", "NotFoundError: "),
        ("import pyflow; pyflow.container(image='', command=3)(lambda: [])", "DefinitionError: "),
        ("take_part.trace(1)", "TypeError: take_part() takes 0 positional arguments"),
    ],
    ids=lambda text: text.partition("(")[0],
)
def test_a_wrong_definition_is_told_once_at_its_line(tmp_path, statement, error):
    """The author's line and one message: no frame of pyflow, and no error before it that says the same."""
    said = outcome_of(tmp_path, statement).splitlines()
    line = len((SCRIPT % statement).splitlines())
    assert said[0] == "Traceback (most recent call last):"
    assert said[1] == f'  File "{tmp_path / "script.py"}", line {line}, in <module>'
    assert sum(text.startswith("  File ") for text in said) == 1
    assert any(error.format(here=f"{tmp_path / 'script.py'}:{line}") in text for text in said)


@pytest.mark.parametrize("executor", ["local", "inprocess"])
def test_a_part_that_is_not_there_names_the_line_that_takes_it(tmp_path, executor):
    """Which part of whose result, where it was taken and for which task; no frame of pyflow."""
    said = outcome_of(tmp_path, f"take_part.with_options(executor={executor!r}, progress=False)()")
    assert "pyflow/" not in said.replace("pyflow logs", "")
    assert (
        "IndexError: list index out of range\nThis was raised by taking ['width'][3] of the result of 'size' at "
        in said
    )
    line = SCRIPT.splitlines().index("    third = width[3]") + 1
    assert f"script.py:{line}, for 'divide'.\nRaised by task 'divide'" in said


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python marks parts of lines from 3.11 on")
def test_the_marks_below_remote_lines_are_right(tmp_path):
    """The part that raised is marked, as if the task had been called here."""
    said = outcome_of(tmp_path, "divide_one()").splitlines()
    at = next(i for i, line in enumerate(said) if '(x + 1)["none"]' in line)
    marked = [said[at][i] for i, sign in enumerate(said[at + 1]) if sign in "~^"]
    assert "".join(marked) == '(x + 1)["none"]'


def test_a_hook_of_ones_own_stays(tmp_path):
    """A script that prints errors its own way goes on to do so."""
    said = outcome_of(tmp_path, "import sys; sys.excepthook = lambda *a: print('mine', file=sys.stderr); convert_one()")
    assert "mine" in said
    assert "Traceback" not in said


@task
def convert(row):
    try:
        return {"a": 1}[row]
    except KeyError as error:
        raise ValueError(row) from error


class TwoOfThemError(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} {b}")


class HeldError(Exception):
    def __init__(self):
        super().__init__()
        self.frames = (i for i in "ab")


@task
def hide(x):
    try:
        raise HeldError
    except HeldError as error:
        raise ValueError(x) from error


@task
def cover(x):
    try:
        raise TwoOfThemError(1, 2)
    except TwoOfThemError:
        raise ValueError(x) from None


@task
def in_turn(x):
    try:
        raise TwoOfThemError(1, 2)
    except TwoOfThemError:
        return [][x]


@pipeline
def one(which, x):
    return {"convert": convert, "hide": hide, "cover": cover, "in_turn": in_turn}[which](x)


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("executor", ["local", "inprocess"])
def test_causes_come_back_as_errors(executor):
    """``except ValueError as error: error.__cause__`` has what the task had, with its lines."""
    with pytest.raises(ValueError, match="b") as caught:
        one.with_options(executor=executor)("convert", "b")
    cause = caught.value.__cause__
    assert type(cause) is KeyError
    assert cause.args == ("b",)
    assert [frame.name for frame in traceback.extract_tb(cause.__traceback__)] == ["convert"]
    assert not any(note.startswith("As the worker") for note in caught.value.__notes__)


def test_what_was_being_handled_comes_back_whatever_is_handled_here():
    """``__context__`` is the task's own, also when the pipeline is called in an ``except`` block."""
    try:
        raise RuntimeError("here")
    except RuntimeError:
        with pytest.raises(IndexError) as caught:
            one("in_turn", 0)
    assert type(caught.value.__context__) is TwoOfThemError
    assert str(caught.value.__context__) == "1 2"
    assert caught.value.__cause__ is None


def test_what_was_covered_stays_covered():
    """After ``raise … from None`` nothing is told of what came before."""
    with pytest.raises(ValueError, match="0") as caught:
        one("cover", 0)
    assert "TwoOfThem" not in "".join(traceback.format_exception(caught.value))


def test_a_cause_that_cannot_travel_is_told_in_words():
    """The text of the worker's traceback stands in a note, and the error itself is still of its own type."""
    run = one.submit("hide", 0)
    with pytest.raises(ValueError, match="0") as caught:
        load_run(run.id).result()
    assert caught.value.__cause__ is None
    (text,) = [note for note in caught.value.__notes__ if note.startswith("As the worker saw it")]
    assert "HeldError" in text
    assert "direct cause" in text

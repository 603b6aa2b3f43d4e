"""What a run loads of what lies in its store, and what it does not: only what somebody with the key wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from canary import Cage, forged_record, line_of, without_signatures

from pyflow import configure, load_run, pipeline, task
from pyflow.api import start
from pyflow.config import reset
from pyflow.errors import ConfigError, IntegrityError, TaskError


@pytest.fixture
def canary(tmp_path) -> Cage:
    return Cage(tmp_path)


@pytest.fixture(params=["inprocess", "local"])
def here(request):
    return {"executor": request.param, "progress": False}


@task
def make(n):
    return {"value": n}


@task
def use(made):
    return made["value"] + 1


@task
def fail(n):
    raise ValueError(n)


@pipeline
def chain(n):
    return use(make(n))


@pipeline
def failing(n):
    return fail(n)


def book_of(run) -> Path:
    (book,) = Path(".pyflow").glob(f"v1/*/runs/*/{run.id}/commits/log")
    return book


def forge(run, slot, artifact, sign=""):
    """A line in the run's book that names this artifact, in front of all others."""
    book = book_of(run)
    book.write_bytes(line_of(slot, forged_record(slot, artifact, sign)) + book.read_bytes())


def test_a_forged_result_in_front_of_the_true_one_is_passed_over(here, canary):
    """Somebody who can write to the store cannot put a pickle of theirs in the place of a result."""
    run = chain.with_options(**here).submit(1)
    assert run.wait() == "succeeded"
    for slot in ("0", "1"):
        forge(run, slot, canary.artifact)
        forge(run, slot, canary.artifact, f',"sig":"00000000.{"A" * 43}"')
    assert load_run(run.id).result() == 2
    assert load_run(run.id).result("make") == {"value": 1}
    assert canary.is_silent


def test_a_result_that_was_replaced_is_an_error_that_names_all(here, canary):
    """Where there is no true record left, the error says which run, which node and which key, and what to do."""
    run = chain.with_options(**here).submit(1)
    run.wait()
    book_of(run).write_bytes(b"")
    forge(run, "1", canary.artifact)
    with pytest.raises(IntegrityError) as caught:
        load_run(run.id).result()
    for part in (run.id, "'use'", f"{run.id}/commits, slot 1)", "not signed", "trust_store"):
        assert part in str(caught.value)
    assert canary.is_silent


def test_a_true_result_of_another_run_is_not_believed(here):
    """Results are bound to their run: those of an earlier one cannot be replayed into a later one."""
    first, second = chain.with_options(**here).submit(1), chain.with_options(**here).submit(2)
    assert (first.wait(), second.wait()) == ("succeeded", "succeeded")
    book_of(second).write_bytes(book_of(first).read_bytes())
    with pytest.raises(IntegrityError, match="another run, task or program"):
        load_run(second.id).result()


def test_the_record_of_a_run_names_its_program_and_is_signed(here):
    """With a graph of their own, somebody could make a reader load what they like."""
    run = chain.with_options(**here).submit(1)
    run.wait()
    (file,) = Path(".pyflow").glob(f"v1/*/runs/*/{run.id}/run.json")
    wire = json.loads(file.read_bytes())
    file.write_text(json.dumps({**wire, "arguments": "other"}))
    again = load_run(run.id)
    assert again.status == "succeeded"  # looking needs no belief
    assert again.nodes["use"].status == "succeeded"
    for ask in (again.result, lambda: again.artifact("use"), lambda: again.unpack_code(Path("code"))):
        with pytest.raises(IntegrityError, match=rf"record of run {run.id} \(v1/.*run.json\).*not believed"):
            ask()


def test_an_error_is_rebuilt_only_when_it_is_signed(here, canary):
    """Events are not signed; the pickle of an error in them is, and without that only its text is used."""
    run = failing.with_options(**here).submit(7)
    assert run.wait() == "failed"
    with pytest.raises(ValueError, match="7"):
        load_run(run.id).result()
    (file,) = Path(".pyflow").glob(f"v1/*/runs/*/{run.id}/events/*")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for event in lines:
        if "error" in event:
            event["error"]["pickled"] = canary.artifact
    file.write_text("".join(json.dumps(event) + "\n" for event in lines))
    with pytest.raises(TaskError, match="ValueError: 7") as caught:
        load_run(run.id).result()
    assert any("not signed" in note for note in caught.value.__notes__)
    assert canary.is_silent


def test_a_task_does_not_adopt_what_was_planted_before_it_started(here, canary, monkeypatch):
    """A result that lies there before the task runs is passed over, and the task runs."""
    planted = []
    original = start.Started.carry_out

    def carry_out(started):
        book = Path(".pyflow") / started.run._content.keys.commits(started.run.id)
        book.mkdir(parents=True)
        (book / "log").touch()
        for slot in ("0", "1"):
            forge(started.run, slot, canary.artifact)
            planted.append(slot)
        return original(started)

    monkeypatch.setattr(start.Started, "carry_out", carry_out)
    assert chain.with_options(**here)(1) == 2
    assert planted == ["0", "1"]
    assert canary.is_silent


def test_runs_from_before_signing_are_read_where_the_store_is_trusted(here):
    """A record without a signature is believed when the settings say that nobody else can write to the store."""
    run = chain.with_options(**here).submit(1)
    run.wait()
    for file in [book_of(run), *Path(".pyflow").glob(f"v1/*/runs/*/{run.id}/*.json")]:
        file.write_bytes(without_signatures(file.read_bytes()))
    with pytest.raises(IntegrityError, match="from before records were signed"):
        load_run(run.id).result()
    configure(trust_store=True)
    try:
        assert load_run(run.id).result() == 2
        assert chain.with_options(**here)(3) == 4
    finally:
        reset()


def test_a_run_without_a_key_does_not_start(here, tmp_path, monkeypatch):
    """A key file that is named and missing is told before any task runs."""
    monkeypatch.setenv("PYFLOW_KEY_FILE", str(tmp_path / "no-such-key"))
    with pytest.raises(ConfigError, match="no-such-key"):
        chain.with_options(**here)(1)
    assert not list(Path(".pyflow").glob("v1/*/runs/*/*/commits"))


def test_workers_sign_with_the_key_that_the_settings_name(here, tmp_path):
    """A key file set for the process alone reaches the workers."""
    (tmp_path / "key").write_text("77" * 32)
    configure(key_file="key")
    try:
        run = chain.with_options(**here).submit(1)
        assert run.result() == 2
    finally:
        reset()
    with pytest.raises(IntegrityError, match="not in the key file here"):
        load_run(run.id).result()

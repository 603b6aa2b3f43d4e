"""``pyflow verify`` finds whatever is not as it was written, in each kind of thing a store holds."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from canary import Cage, forged_record, line_of, without_signatures
from click.testing import CliRunner

from pyflow import load_run, pipeline, task
from pyflow.api import open_workplace
from pyflow.cli import cli
from pyflow.config import Settings
from pyflow.digest import CHUNK_SIZE
from pyflow.upkeep import Verifier

HERE = {"executor": "inprocess", "progress": False}


@task
def large(n):
    print("making", n)
    return os.urandom(n)


@task
def length(data):
    return {"length": len(data)}


@task
def fail(data):
    raise ValueError(data)


@pipeline
def flow(n):
    return length.map([large(n), large(10)])


@pipeline
def failing():
    return fail("x" * 20_000)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with two runs, one of them failed."""
    folder = tmp_path_factory.mktemp("made")
    before = Path.cwd()
    os.chdir(folder)
    try:
        run = flow.with_options(**HERE).submit(CHUNK_SIZE + 5)
        assert run.wait() == "succeeded"
        failed = failing.with_options(**HERE).submit()
        assert failed.wait() == "failed"
    finally:
        os.chdir(before)
    return folder, run.id, failed.id


@pytest.fixture
def run(made, monkeypatch, tmp_path):
    """The run that succeeded, in a copy of the store."""
    folder = tmp_path / made[0].name
    shutil.copytree(made[0], folder)
    monkeypatch.chdir(folder)
    return load_run(made[1])


def found(run_id=None):
    """The flaws as ``(kind, harmless)``, and in words."""
    verifier = Verifier(open_workplace(Settings()).content)
    flaws = list(verifier.everything() if run_id is None else verifier.run(run_id))
    return [(flaw.kind, flaw.is_harmless) for flaw in flaws], " ".join(f"{flaw.key} {flaw.problem}" for flaw in flaws)


def only(pattern) -> Path:
    (file,) = Path(".pyflow").glob(pattern)
    return file


def flip(file: Path, at: int = -1) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def large_blob() -> Path:
    return next(file for file in Path(".pyflow").glob("v1/*/blobs/*/*") if file.stat().st_size > CHUNK_SIZE)


def test_a_store_that_is_as_it_was_written_has_no_flaws(run, made):
    """Nothing is told of two runs, and everything has been looked at."""
    assert found() == ([], "")
    assert found(made[2]) == ([], "")
    done = CliRunner().invoke(cli, ["verify"])
    assert done.exit_code == 0
    assert "2 runs, 4 commits, " in done.output
    assert "nothing is wrong" in done.output
    wire = json.loads(CliRunner().invoke(cli, ["verify", "--json"]).output)
    blobs = [file for file in Path(".pyflow").glob("v1/*/blobs/*/*") if file.suffix != ".chunks"]
    assert (wire["ok"], wire["flaws"], wire["checked"]["runs"]) == (True, [], 2)
    assert wire["checked"]["blobs"] == len(blobs)
    assert wire["checked"]["size_bytes"] == sum(file.stat().st_size for file in blobs)


BLOBS = {
    "flipped": (lambda: flip(large_blob(), CHUNK_SIZE + 1), "damaged in chunk 1"),
    "truncated": (lambda: os.truncate(large_blob(), CHUNK_SIZE + 4), "it must have"),
    "longer": (lambda: os.truncate(large_blob(), 2 * CHUNK_SIZE + 4), "it must have"),
    "without its chunks": (lambda: large_blob().with_suffix(".chunks").unlink(), "chunk digests is missing"),
    "its chunks flipped": (lambda: flip(large_blob().with_suffix(".chunks")), "chunk digests is damaged"),
}


@pytest.mark.parametrize("how", BLOBS)
def test_a_damaged_blob_is_found_with_run_and_node(run, how):
    """What is wrong with a blob is told with the run and the node that it belongs to."""
    spoil, words = BLOBS[how]
    spoil()
    kinds, text = found(run.id)
    assert kinds == [("blob", False)]
    assert words in text
    done = CliRunner().invoke(cli, ["verify", run.id])
    assert done.exit_code == 1
    assert "'large'" in done.output
    assert run.id in done.output


def test_a_missing_blob_is_found(run):
    """A blob that somebody removed is told; its list of chunks, left alone, is harmless."""
    large_blob().unlink()
    assert found(run.id)[0] == [("blob", False)]
    assert sorted(found()[0]) == [("blob", False), ("chunks", True)]


def test_blobs_swapped_for_each_other_are_found(run):
    """Both are valid, and neither is the one that its name says."""
    small = [file for file in Path(".pyflow").glob("v1/*/blobs/*/*") if 100 < file.stat().st_size < CHUNK_SIZE][:2]
    first, second = (file.read_bytes() for file in small)
    small[0].write_bytes(second)
    small[1].write_bytes(first)
    kinds, _ = found()
    assert {kind for kind, _ in kinds} <= {"blob", "graph"}
    assert len(kinds) >= 2


def test_what_is_no_blob_among_the_blobs_is_told(run):
    """A file of another name does not belong there."""
    folder = only("v1/*/blobs") / "zz"
    folder.mkdir()
    (folder / "notes.txt").write_text("hello")
    assert found()[0] == [("blob", False)]


COMMITS = {
    "forged": (lambda slot: forged_record(slot, {"json": 1}), "not signed"),
    "signed with another key": (lambda slot: forged_record(slot, {"json": 1}, f',"sig":"00000000.{"A" * 43}"'), "key '00000000'"),
    "no JSON": (lambda slot: b"what is this", "not signed"),
}  # fmt: skip


@pytest.mark.parametrize("how", COMMITS)
def test_a_false_commit_is_found_wherever_it_stands(run, how):
    """In front of the true one, and in a slot that the run does not have."""
    make, words = COMMITS[how]
    book = only(f"v1/*/runs/*/{run.id}/commits/log")
    book.write_bytes(line_of("0", make("0")) + book.read_bytes() + line_of("../../x", make("9")))
    kinds, text = found(run.id)
    assert kinds == [("commit", False)] * 2
    assert words in text
    assert run.result() == [{"length": CHUNK_SIZE + 5}, {"length": 10}]


def test_a_torn_record_is_harmless(run):
    """A writer that was killed leaves such a thing, and no result is lost by it."""
    book = only(f"v1/*/runs/*/{run.id}/commits/log")
    book.write_bytes(book.read_bytes() + b"\n0\t0000")
    book.write_bytes(book.read_bytes() + b"\n\n")
    assert found(run.id)[0] == [("commit", True)]
    done = CliRunner().invoke(cli, ["verify", run.id])
    assert (done.exit_code, "harmless" in done.output) == (0, True)


def test_the_book_of_another_run_is_found(run, made):
    """True records of one run are false ones in another."""
    book = only(f"v1/*/runs/*/{run.id}/commits/log")
    other = book.parents[2] / made[2] / "commits"
    other.mkdir()
    (other / "log").write_bytes(book.read_bytes())
    kinds, text = found(made[2])
    assert set(kinds) == {("commit", False)}
    assert "another run, task or program" in text


RECORDS = {
    "run.json, changed": ("run.json", lambda data: data.replace(b'"python"', b'"arguments": "x", "python"'), "run"),
    "run.json, unsigned": ("run.json", without_signatures, "run"),
    "run.json, no JSON": ("run.json", lambda _: b"}{", "run"),
    "run.json, a list": ("run.json", lambda _: b"[1]", "run"),
    "run.json, wrong types": ("run.json", lambda data: data.replace(b'"pid": ', b'"pid": "x", "was": '), "run"),
    "run.json, another run's": ("run.json", lambda data: data.replace(b"-flow-", b"-flew-"), "run"),
    "run.json, deep": ("run.json", lambda _: b"[" * 100_000, "run"),
    "run.json, hostile digest": ("run.json", lambda data: data.replace(b'"graph_digest": "', b'"graph_digest": "../'), "run"),
    "summary.json, changed": ("summary.json", lambda data: data.replace(b"succeeded", b"cancelled"), "summary"),
    "summary.json, no JSON": ("summary.json", lambda _: b"", "summary"),
}  # fmt: skip


@pytest.mark.parametrize("how", RECORDS)
def test_a_record_that_was_changed_is_found(run, how):
    """Whatever it says now; and the other commands end with a message, not with a traceback."""
    name, change, kind = RECORDS[how]
    file = only(f"v1/*/runs/*/{run.id}/{name}")
    file.write_bytes(change(file.read_bytes()))
    kinds, _ = found(run.id)
    assert (kind, False) in kinds
    for words in (["verify", run.id], ["ls"], ["show", run.id], ["result", run.id]):
        done = CliRunner().invoke(cli, words)
        assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)


def test_a_record_that_is_missing_is_found(run):
    """A run without a record cannot be read by anybody."""
    only(f"v1/*/runs/*/{run.id}/run.json").unlink()
    assert found(run.id)[0] == [("run", False)]


def test_a_graph_that_is_none_is_found(run):
    """The digest in the record leads to other bytes."""
    graph = Path(".pyflow").glob(f"v1/*/blobs/*/{run.record.graph_digest}")
    flip(next(graph))
    assert ("graph", False) in found(run.id)[0]


EVENTS = {
    "no JSON": (b"{oops\n", ("event", True)),
    "no event": (b"[1]\n", ("event", False)),
    "a log beyond its end": (b'{"at":1,"event":"ended","slot":"0","attempt":1,"status":"failed","log":["caller",0,99999]}\n', ("log", False)),
    "a log of a hostile name": (b'{"at":1,"event":"ended","slot":"0","attempt":1,"status":"failed","log":["../x",0,9]}\n', ("event", False)),
    "a log that is none": (b'{"at":1,"event":"ended","slot":"0","log":7}\n', ("event", False)),
    "a hostile slot": (b'{"at":1,"event":"ended","slot":[1]}\n', ("event", False)),
}  # fmt: skip


@pytest.mark.parametrize("how", EVENTS)
def test_an_event_that_nobody_wrote_is_found(run, how):
    """Events are text for people; what could mislead one is told."""
    line, flaw = EVENTS[how]
    file = only(f"v1/*/runs/*/{run.id}/events/*")
    file.write_bytes(file.read_bytes() + line)
    assert found(run.id)[0] == [flaw]


def test_an_error_that_was_replaced_is_found(run, made, tmp_path):
    """The pickle of an error is signed by itself."""
    file = only(f"v1/*/runs/*/{made[2]}/events/*")
    cage = Cage(tmp_path)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for event in lines:
        if "error" in event:
            event["error"]["pickled"] = cage.artifact
    file.write_text("".join(json.dumps(event) + "\n" for event in lines))
    kinds, text = found(made[2])
    assert set(kinds) == {("event", False)}
    assert "not signed" in text
    assert cage.is_silent


def test_a_run_that_does_not_exist_is_wrong_usage(run):
    """The message says what there is."""
    done = CliRunner().invoke(cli, ["verify", "no-such-run"])
    assert done.exit_code == 2
    assert "no run 'no-such-run'" in done.output

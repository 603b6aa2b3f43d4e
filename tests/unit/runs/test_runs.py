"""States, events and records of a run."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from pyflow import pipeline, task
from pyflow.errors import NotFoundError
from pyflow.packing import pack
from pyflow.runs import (
    ENDED,
    EventReader,
    Journal,
    RunRecord,
    RunSummary,
    RunView,
    is_caller_alive,
    new_run_id,
    process_started,
    read_events,
    this_host,
)
from pyflow.runs.state import TRANSITIONS, is_allowed
from pyflow.store import ContentStore, Keys, open_blobs


@task
def fit(*args): ...


@pipeline
def flow():
    first = fit()
    return fit.map([first, 2, 3])


@pytest.fixture
def content(tmp_path):
    return ContentStore(open_blobs(tmp_path / "store"), Keys("p", "o"))


def record(**changes):
    return RunRecord(**{
        "run_id": "r1", "pipeline": "p", "executor": "local", "graph_digest": "d", "graph_size": 1, "started_at": 1.0,
        "pyflow_version": "0", "python": "3.11", "host": this_host(), "pid": os.getpid(), "pid_started": process_started(os.getpid()),
        **changes,
    })  # fmt: skip


def test_the_table_of_states_is_whole():
    """Every state that can follow is in the table; what has ended stays so; a node may be tried again."""
    assert {after for following in TRANSITIONS.values() for after in following} <= set(TRANSITIONS)
    assert {"succeeded", "failed", "cancelled", "lost", "skipped"} == ENDED
    assert is_allowed("running", "pending")
    assert not is_allowed("succeeded", "running")


def test_events_come_back_in_order(content):
    """Nothing is visible before ``flush``; then all of it is."""
    journal = Journal(content, "r1")
    journal.add("run-started")
    assert list(read_events(content, "r1")) == []
    journal.flush()
    journal.add("started", slot="1", attempt=1, worker="é\n")
    journal.flush()
    journal.flush()
    assert [event["event"] for event in read_events(content, "r1")] == ["run-started", "started"]
    assert next(reversed(list(read_events(content, "r1"))))["worker"] == "é\n"


def test_a_short_attempt_takes_one_line(content):
    """What starts and ends before it is written has one line, and is read as two events; what was seen to run has two."""
    times = iter(range(1, 99))
    journal = Journal(content, "r1", now=lambda: float(next(times)))
    journal.add("started", slot="1", attempt=1, worker="w1")
    journal.flush()
    journal.add("started", slot="2", attempt=1, worker="w2")
    journal.add("ended", slot="2", attempt=1, status="failed")
    journal.add("started", slot="2", attempt=2, worker="w2")
    journal.add("ended", slot="1", attempt=1, status="succeeded")
    journal.flush()
    journal.add("ended", slot="2", attempt=2, status="succeeded")
    journal.flush()
    key = content.keys.events("r1", "driver")
    assert content.blobs.read_log(key).count(b"\n") == 5
    told = [(e["event"], e["slot"], e["attempt"], e["at"]) for e in read_events(content, "r1")]
    assert told == [
        ("started", "1", 1, 1.0),
        ("started", "2", 1, 2.0),
        ("ended", "2", 1, 3.0),
        ("started", "2", 2, 4.0),
        ("ended", "1", 1, 5.0),
        ("ended", "2", 2, 6.0),
    ]
    slots = {
        slot: view
        for node in RunView(pack(flow.trace(), content).graph, read_events(content, "r1")).nodes.values()
        for slot, view in node.slots.items()
    }
    assert [a.worker for view in slots.values() for a in view.attempts] == ["w1", "w2", "w2"]


def test_a_line_of_both_ends_needs_a_worker(content):
    """A start without its worker is none, so the line is left out like any that is damaged."""
    content.blobs.append(
        content.keys.events("r1", "driver"),
        b'{"at":2,"event":"ended","slot":"1","attempt":1,"status":"succeeded","started_at":1}\n',
    )
    assert list(read_events(content, "r1")) == []


def test_a_torn_line_is_left_out(content):
    """What a crash has cut off, and what is no event, does not hide the rest."""
    key = content.keys.events("r1", "driver")
    for piece in (
        b'{"at": 1, "event": "a"}\n',
        b'{"at": 1, "event": "b',
        b'\n{"at": 2, "event": "c"}\n',
        b"[1]\n",
        b'{"at": 3, "event": "d"}',
    ):
        content.blobs.append(key, piece)
    assert [event["event"] for event in read_events(content, "r1")] == ["a", "c"]


def test_events_of_several_writers_are_merged_by_time(content):
    """Each pod writes a log of its own; a reader sees one story, and later only what is new."""
    times = {"a": iter([1.0, 4.0]), "b": iter([2.0, 3.0, 5.0])}
    a, b = (Journal(content, "r1", writer=name, now=lambda name=name: next(times[name])) for name in ("a", "b"))
    a.add("first"), a.add("fourth"), b.add("second"), b.add("third")
    a.flush(), b.flush()
    reader = EventReader(content, "r1")
    assert [event["event"] for event in reader.read_on()] == ["first", "second", "third", "fourth"]
    assert list(reader.read_on()) == []
    b.add("fifth")
    b.flush()
    assert [event["event"] for event in reader.read_on()] == ["fifth"]


def test_the_first_record_of_a_run_stays(content):
    """Whoever submits a workflow and each of its pods may write it; one record holds."""
    assert record(place={"workflow": "w", "namespace": "n"}).create(content)
    assert not record(pipeline="other").create(content)
    assert RunRecord.read(content, record().run_id).place == {"workflow": "w", "namespace": "n"}


def test_a_record_is_written_once(content):
    """It comes back equal; its id cannot be used again; an unknown id is told with the store."""
    record().write(content)
    assert RunRecord.read(content, "r1") == record()
    with pytest.raises(NotFoundError, match="r1"):
        record().write(content)
    with pytest.raises(NotFoundError, match=r"'r2'.*pyflow ls"):
        RunRecord.read(content, "r2")


def test_a_summary_is_there_when_the_run_has_ended(content):
    """Before that there is none."""
    assert RunSummary.read(content, "r1") is None
    summary = RunSummary(
        run_id="r1", status="failed", ended_at=2.0, duration_s=1.0, failures=[["1", "fit", "ValueError", "x"]]
    )
    summary.write(content)
    assert RunSummary.read(content, "r1") == summary


def test_ids_sort_by_time_and_can_be_host_names():
    """They tell the pipeline, whatever its name is, and differ."""
    ids = [new_run_id(name, 1795455012 + i) for i, name in enumerate(["train", "Ärger/../x", "a" * 100, "___", ""])]
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"\d{8}-\d{6}-[a-z0-9]([a-z0-9-]*[a-z0-9])?-[a-z0-9]{6}", run_id) for run_id in ids), ids
    assert max(map(len, ids)) <= 63
    assert len({new_run_id("x", 0) for _ in range(100)}) == 100


def test_a_process_is_known_by_number_and_start():
    """A later process with the same number is another one; one on another machine cannot be judged."""
    assert is_caller_alive(record()) is True
    assert is_caller_alive(record(pid_started="1")) is False
    assert is_caller_alive(record(host="elsewhere")) is None
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = process_started(child.pid)
        assert is_caller_alive(record(pid=child.pid, pid_started=started)) is True
        child.kill()
    assert is_caller_alive(record(pid=child.pid, pid_started=started)) is False


def view(*events):
    graph = pack(flow.trace(), ContentStore(open_blobs("memory://views"), Keys("p", "o"))).graph
    return RunView(graph, [{"at": float(i), **event} for i, event in enumerate(events)])


def event(kind, slot=None, **details):
    return {"event": kind, **({} if slot is None else {"slot": slot}), **details}


START = event("run-started")
TRY = event("started", "0", attempt=1, worker="w")


def end(status, attempt=1, slot="0", **details):
    return event("ended", slot, attempt=attempt, status=status, **details)


ERROR = {"type": "ValueError", "message": "x", "traceback": "", "frames": [], "pickled": None}


@pytest.mark.parametrize(("events", "run", "node"), [
    ([], "pending", "pending"),
    ([START], "running", "pending"),
    ([START, TRY], "running", "running"),
    ([START, TRY, end("succeeded")], "running", "succeeded"),
    ([START, TRY, end("failed", error=ERROR)], "running", "failed"),
    ([START, TRY, end("failed", error=ERROR), event("paused", "0", seconds=1)], "running", "pending"),
    ([START, TRY, end("failed", error=ERROR), event("paused", "0", seconds=1), event("run-ended", status="failed")], "failed", "cancelled"),
    ([START, event("skipped", "0")], "running", "skipped"),
    ([START, event("run-ended", status="cancelled")], "cancelled", "cancelled"),
])  # fmt: skip
def test_a_view_follows_the_events(events, run, node):
    """The state of the run and of a node, after each kind of event."""
    seen = view(*events)
    assert (seen.status, seen.by_name()["fit"].status) == (run, node)


def test_what_is_in_a_map_that_was_skipped_was_skipped():
    """Nothing is told of its items; of a map without items they have ended with it."""
    skipped = view(START, TRY, end("succeeded"), event("skipped", "1"), event("run-ended", status="succeeded"))
    assert skipped.by_name()["fit-2"].status == "skipped"
    empty = view(START, TRY, end("succeeded"), event("expanded", "1", count=0), event("run-ended", status="succeeded"))
    assert empty.by_name()["fit-2"].status == "succeeded"
    failed = view(START, TRY, end("failed", error=ERROR), event("run-ended", status="failed"))
    assert failed.by_name()["fit-2"].status == "cancelled"


def test_a_view_of_a_run_whose_caller_died():
    """What was under way is lost, what had ended stays, and the rest will not be."""
    seen = view(
        START, TRY, end("succeeded", duration_s=2.0), event("expanded", "1", count=3),
        event("started", "2.0", attempt=1, worker="w"), event("started", "2.1", attempt=1, worker="v"), end("succeeded", slot="2.1"),
    )  # fmt: skip
    seen.caller_died()
    nodes = seen.by_name()
    assert (seen.status, nodes["fit"].status, nodes["fit"].duration_s) == ("lost", "succeeded", 2.0)
    assert (nodes["fit-2"].status, nodes["fit-2"].count, nodes["fit-2"].counts()) == (
        "lost",
        3,
        {"lost": 1, "succeeded": 1},
    )


def test_attempts_are_counted():
    """Each attempt has its number, its end and its log."""
    seen = view(
        START, TRY, end("failed", error=ERROR, log=["w", 0, 5]), event("started", "0", attempt=2, worker="w"),
        end("succeeded", attempt=2, log=["w", 5, 9]),
    )  # fmt: skip
    slot = seen.by_name()["fit"].slots["0"]
    assert [(a.number, a.status, a.log) for a in slot.attempts] == [
        (1, "failed", ("w", 0, 5)),
        (2, "succeeded", ("w", 5, 9)),
    ]
    assert (slot.status, seen.by_name()["fit"].attempts) == ("succeeded", 2)

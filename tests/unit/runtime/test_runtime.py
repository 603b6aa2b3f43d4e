"""What runs beside the author's code: capture, isolation, messages, records of errors, values of expressions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from servers import BUCKET

from pyflow import first_of, pipeline, task, when
from pyflow.artifacts import load
from pyflow.contract import ExitCode, Home, Invocation
from pyflow.errors import IntegrityError, PyflowError
from pyflow.packing import pack
from pyflow.runtime import Messages, Session, Spool, open_home, send
from pyflow.runtime.failure import record_error
from pyflow.runtime.isolation import isolated
from pyflow.runtime.preview import preview
from pyflow.store import open_blobs


@task
def give(value):
    print("giving", value, flush=True)
    os.write(1, b"below\n")
    return value


@task
def boom(value):
    raise ValueError(value)


@pytest.fixture
def home(tmp_path):
    return Home(store_url=str(tmp_path / "store"), project="p", owner="o")


@pytest.fixture
def session(tmp_path):
    folder = tmp_path / "session"
    folder.mkdir()
    spool = Spool(folder / "spool")
    made = Session(folder, spool, "w1")
    made.spool = spool
    yield made
    made.close()
    spool.close()


def invocations(home, body, run_id="r1"):
    """An invocation of each call of a pipeline, by its name."""
    packed = pack(body.trace(), open_home(home))
    return {
        node.name: Invocation(
            home=home, run_id=run_id, graph_digest=packed.digest, graph_size=packed.size_bytes, node=node.id, nonce="n"
        )
        for node in packed.graph.walk()
    }


def run(session, invocation):
    with session.spool.borrowed_streams():
        return session.run(invocation)


# One attempt


def test_an_invocation_gives_an_outcome(session, home):
    """With result, log, times and peak memory; it is committed when it is told, and adopted by the next who asks."""

    @pipeline
    def body():
        return give([1, 2])

    invocation = invocations(home, body)["give"]
    outcome = run(session, invocation)
    assert (outcome.exit_code, outcome.slot, outcome.nonce) == (0, "0", "n")
    assert load(outcome.result, open_home(home)) == [1, 2]
    assert (outcome.log.writer, outcome.duration_s > 0, outcome.peak_memory_bytes > 0) == ("w1", True, True)
    content = open_home(home)
    assert bytes(content.blobs.read_log(content.keys.log("r1", "w1"))) == b"giving [1, 2]\nbelow\n"
    again = run(session, invocation._replace(nonce="other"))
    assert again == outcome


def test_a_failure_is_an_outcome_as_well(session, home):
    """It has the error's text and type; nothing is committed, so another attempt runs."""

    @pipeline
    def body():
        return boom("no")

    outcome = run(session, invocations(home, body)["boom"])
    assert (outcome.exit_code, outcome.error.type, outcome.error.message) == (ExitCode.TASK_RAISED, "ValueError", "no")
    assert outcome.error.frames[-1][2] == "boom"
    content = open_home(home)
    assert content.blobs.committed(content.keys.commits("r1"), "0") is None


def test_a_result_that_cannot_be_kept_is_named(session, home):
    """Which part of the result of which task, and where that is defined."""

    @task
    def connect():
        return {"clients": [1, threading.Lock()]}

    @pipeline
    def body():
        return connect()

    outcome = run(session, invocations(home, body)["connect"])
    assert (outcome.exit_code, outcome.error.type) == (
        ExitCode.TASK_RAISED_FOR_GOOD,
        "pyflow.errors.NotSerializableError",
    )
    assert f"The result of task 'connect' (defined at {__file__}:" in outcome.error.message
    assert "cannot be serialized: value['clients'][1] is a '_thread.lock'" in outcome.error.message


def test_an_input_that_is_missing_is_told(session, home):
    """A task that is started before what it needs was committed fails with IntegrityError that names it."""

    @pipeline
    def body():
        return give(give.with_options(name="source")(1))

    outcome = run(session, invocations(home, body)["give"])
    assert (outcome.exit_code, outcome.error.type) == (ExitCode.INTEGRITY, "pyflow.errors.IntegrityError")
    assert "'source'" in outcome.error.message
    assert "r1" in outcome.error.message


def test_a_graph_that_cannot_be_read_is_an_outcome(session, home):
    """A worker that finds no graph goes on living."""
    invocation = Invocation(home=home, run_id="r1", graph_digest="0" * 64, graph_size=9, node=0)
    outcome = session.run(invocation)
    assert outcome.exit_code == ExitCode.INTEGRITY
    assert "NotFoundError" in outcome.error.type


def test_facts_are_told_beside_the_result(session, home):
    """How many items there are, and whether a condition holds."""

    @pipeline
    def body():
        made = give([1, 2, 3])
        with when(made[0] > 0):
            yes = give("yes")
        return give.map(made), first_of(yes, default=None)

    facts = run(session, invocations(home, body)["give"]).facts
    assert sorted((fact if isinstance(fact, bool) else fact["length"]) for fact in facts) == [True, 3]


# Isolation


def test_what_a_task_changes_is_put_back(tmp_path, monkeypatch):
    """Environment, folder and path are as before, also when it raised, and when the folder is gone."""
    monkeypatch.setenv("KEPT", "1")
    before = dict(os.environ), Path.cwd(), list(sys.path)
    gone = tmp_path / "gone"
    gone.mkdir()
    with pytest.raises(KeyError), isolated({"ADDED": "x", "KEPT": "2"}):
        assert (os.environ["ADDED"], os.environ["KEPT"]) == ("x", "2")
        os.environ.pop("KEPT")
        os.environ["NEW"] = "y"
        sys.path.append("/nowhere")
        os.chdir(gone)
        gone.rmdir()
        raise KeyError
    assert (dict(os.environ), Path.cwd(), list(sys.path)) == before


@pytest.mark.parametrize("how", ["option", "code"])
def test_variables_of_a_task_do_not_lead_pyflow_elsewhere(moto, monkeypatch, tmp_path, how):
    """A task may have an endpoint and credentials of its own: what it is handed and returns is in the store of the run."""
    moto.enter(monkeypatch)
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "of-a-satellite"}
    home = Home(store_url=f"s3://{BUCKET}/{tmp_path.name}", project="p", owner="o")

    @task
    def turned(data):
        os.environ.update(nowhere)
        return data[::-1], os.environ["AWS_ENDPOINT_URL"]

    @pipeline
    def body():
        made = give(b"ab" * 10_000)
        return turned.with_options(env=nowhere if how == "option" else {})(made)

    folder = tmp_path / "s3"
    folder.mkdir()
    spool = Spool(folder / "spool")
    session = Session(folder, spool, "w1")
    session.spool = spool
    for invocation in invocations(home, body).values():
        outcome = run(session, invocation)
        assert outcome.is_committed, outcome.error
    assert load(outcome.result, open_home(home)) == (b"ba" * 10_000, "http://127.0.0.1:9")
    assert os.environ["AWS_ENDPOINT_URL"] != "http://127.0.0.1:9"
    session.close()
    spool.close()


# Capture


def test_a_spool_ships_what_is_new(tmp_path):
    """Each span starts where the one before ended; silence has none; a new run has a new log."""
    blobs, spool = open_blobs(tmp_path / "store"), Spool(tmp_path / "spool")
    spool.aim(blobs, "v1/p/runs/o/r1/logs/w", "w")
    spans = []
    with spool.borrowed_streams():
        for text in ("one\n", "", "three\n"):
            with spool.capture() as span:
                sys.stdout.write(text)
                subprocess.run(["sh", "-c", f"printf '{text}' >&2"], check=True)
            spans.append(span())
    assert [(s.start, s.end) if s else None for s in spans] == [(0, 8), None, (8, 20)]
    assert bytes(blobs.read_log("v1/p/runs/o/r1/logs/w")) == b"one\none\nthree\nthree\n"
    spool.aim(blobs, "v1/p/runs/o/r2/logs/w", "w")
    with spool.borrowed_streams(), spool.capture() as span:
        print("again")
    assert (span().start, span().end) == (0, 6)
    spool.close()


def test_borrowed_streams_are_given_back(tmp_path, capfd):
    """What was printed is shown where it would have been, and the descriptors are as before."""
    spool = Spool(tmp_path / "spool")
    spool.aim(open_blobs(tmp_path / "store"), "v1/p/runs/o/r1/logs/w", "w")
    before = []
    for _ in range(2):  # the store opens a log once, and keeps it open
        before.append(len(list(Path("/proc/self/fd").iterdir())))
        with spool.borrowed_streams(), spool.capture():
            print("from python")
            os.write(2, b"from below\n")
    print("afterwards")
    before.append(len(list(Path("/proc/self/fd").iterdir())))
    shown = capfd.readouterr()
    assert set((shown.out + shown.err).splitlines()) == {"from python", "from below", "afterwards"}
    assert before[1] == before[2]
    spool.close()


# Messages


def test_messages_arrive_whole_and_in_order():
    """However large they are, and in whatever pieces the pipe gives them."""
    read, write = os.pipe()
    sent = [{"n": 1}, {"text": "é" * 300_000}, [], {"n": 2}]
    thread = threading.Thread(target=lambda: ([send(write, message) for message in sent], os.close(write)))
    thread.start()
    messages, found = Messages(read), []
    while not messages.is_ended:
        found += messages.read()
    thread.join()
    os.close(read)
    assert found == sent


def test_nobody_reads_a_closed_pipe():
    """The writer is told."""
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(BrokenPipeError):
        send(write, {})
    os.close(write)


# Errors as records


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize("error", [
    ValueError("a"), KeyError("k"), MuteError(), SystemExit(3), KeyboardInterrupt(), OSError(2, "no", "f"), ValueError("x" * 200_000),
    UnicodeDecodeError("utf8", b"a", 0, 1, "bad"), ValueError("\udc80"), RecursionError(), BaseException("b"),
], ids=lambda e: type(e).__name__)  # fmt: skip
def test_any_error_becomes_a_record(error, tmp_path, home):
    """Text first: type, message, traceback and frames, all plain JSON of a bounded size."""
    record = record_error(raised(error), open_home(home), origins={})
    assert type(error).__name__ in record.type
    assert record.frames[-1][0] == __file__
    assert record.frames[-1][2] == "raised"
    assert len(json.dumps(record.to_wire())) < 500_000
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        assert record.pickled is None


def test_files_of_the_bundle_are_named_as_the_author_knows_them():
    """In frames and in the text, causes included."""
    record = record_error(raised(ValueError("x")), None, origins={__file__: "/home/ann/flow.py"})
    assert {frame[0] for frame in record.frames} == {"/home/ann/flow.py"}
    assert '"/home/ann/flow.py"' in record.traceback
    assert __file__ not in record.traceback


def test_a_preview_is_short_and_never_raises():
    """Whatever the value's ``repr`` does."""

    class Rude:
        def __repr__(self):
            raise RuntimeError("no repr")

    for value in (5, "text", [1] * 10_000, "x" * 10**6, Rude(), {"a": Rude()}, None):
        assert len(preview(value)) <= 1000


# Values


def test_a_node_that_is_no_task_cannot_be_run(session, home):
    """A map is a node, but nothing that a worker could call; an unknown node is told."""

    @pipeline
    def body():
        return give.map([1, 2])

    some = next(iter(invocations(home, body).values()))
    for node in (0, 99):
        with pytest.raises((IntegrityError, PyflowError)):
            run(session, some._replace(node=node))


def test_imports_of_a_worker_are_light():
    """A worker imports no more than it needs to run one task."""
    code = "import sys, pyflow.runtime.worker; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    heavy = {
        "numpy",
        "pandas",
        "boto3",
        "docker",
        "rich",
        "asyncio",
        "pyflow.api",
        "pyflow.tracing",
        "pyflow.executors",
    }
    assert heavy & set(done.stdout.split()) == set()

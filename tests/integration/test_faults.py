"""Processes that die, run on, or do not let go; disks that are full; bits that flip: always the promised outcome."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pyflow import load_run, pipeline, task
from pyflow.api import list_runs
from pyflow.errors import ConfigError, IntegrityError, LostRunError, LostTaskError, StoreError, TaskTimeoutError
from pyflow.runs import RunSummary

HERE = {"executor": "local", "progress": False}


@task
def give(value):
    return value


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in {b"Z", b"X"}


def until(is_true, timeout_s=60):
    """Wait until something is true, on a busy machine, too; the answer is what it is then."""
    end = time.monotonic() + timeout_s
    while not is_true() and time.monotonic() < end:
        time.sleep(0.02)
    return is_true()


def workers_of(folder) -> list[int]:
    """Processes, zombies aside, that stand in a folder of a test: its workers, and what tasks have started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        pid = int(process.name)
        try:
            if (process / "cwd").readlink() == folder and is_alive(pid) and pid != os.getpid():
                found.append(pid)
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return found


# Workers that die


DEATHS = {
    "SIGSEGV": (lambda: ctypes.string_at(0), "SIGSEGV", "memory that is not its own"),
    "SIGKILL": (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL", "likely out of memory"),
    "SIGABRT": (os.abort, "SIGABRT", "gave up"),
    "exit 0": (lambda: os._exit(0), "exited with code 0", "os._exit"),
    "exit 3": (lambda: os._exit(3), "exited with code 3", "os._exit"),
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_worker_that_dies_is_a_lost_task(death):
    """The error names the signal and the likely cause, what was printed is kept, and what had finished, too."""
    die, name, cause = DEATHS[death]

    @task
    def dying(_):
        print("last words")
        sys.stdout.flush()
        die()

    @pipeline
    def fatal():
        return dying(give("kept"))

    run = fatal.with_options(**HERE).submit()
    assert run.wait(60) == "failed"
    with pytest.raises(LostTaskError) as caught:
        run.result()
    assert type(caught.value) is LostTaskError
    assert (caught.value.node, caught.value.attempt) == ("dying", 1)
    assert name in str(caught.value)
    assert cause in str(caught.value)
    assert run.logs("dying").startswith("last words\n")
    assert (run.result("give"), run.nodes["dying"].status) == ("kept", "lost")


def test_a_lost_attempt_is_made_again(tmp_path):
    """A retry after the death of a worker gives the result; both attempts have their log."""
    count = tmp_path / "count"

    @task(retries=1, backoff=0)
    def unlucky():
        with count.open("a") as file:
            file.write(".")
        print("attempt", count.stat().st_size, flush=True)
        if count.stat().st_size == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return "made"

    @pipeline
    def trying():
        return unlucky()

    run = trying.with_options(**HERE).submit()
    assert run.wait(60) == "succeeded"
    assert (run.result(), run.logs("unlucky")) == ("made", "attempt 1\nattempt 2\n")
    assert [a.status for s in run.nodes["unlucky"].slots.values() for a in s.attempts] == ["lost", "succeeded"]


def test_the_others_of_a_batch_survive_a_death():
    """An item that kills its worker is lost alone; items before it are kept, items behind it run in another worker."""

    @task(batch=4)
    def item(x):
        if x == 1:
            os._exit(1)
        return x * 10

    @pipeline(fail_fast=False)
    def batched():
        return item.map(range(4))

    run = batched.with_options(**HERE).submit()
    assert run.wait(60) == "failed"
    assert [run.result("item", i) for i in (0, 2, 3)] == [0, 20, 30]
    with pytest.raises(LostTaskError, match=r"item\[1\]"):
        run.result()


@pytest.mark.parametrize("parallelism", [1, 50])
@pytest.mark.parametrize("fate", ["death", "time-out"])
def test_among_many_the_right_item_is_lost(parallelism, fate):
    """Whoever takes what, and in whatever order: the others end, once each, with their own results and limits."""

    @task(timeout=3 if fate == "time-out" else 60)
    def limited(x):
        time.sleep(0.01)
        if x == 3 and fate == "death":
            os._exit(1)
        if x == 3:
            time.sleep(60)
        return x

    @task
    def free(x):
        time.sleep(0.01)
        return -x

    @pipeline(fail_fast=False, parallelism=parallelism)
    def wide():
        return limited.map(range(12)), free.map(range(12))

    run = wide.with_options(**HERE).submit()
    assert run.wait(60) == "failed"
    with pytest.raises(LostTaskError if fate == "death" else TaskTimeoutError, match=r"limited\[3\]"):
        run.result()
    assert [run.result("limited", i) for i in range(12) if i != 3] == [i for i in range(12) if i != 3]
    assert run.result("free") == [-i for i in range(12)]
    assert (run.nodes["limited"].attempts, run.nodes["free"].attempts) == (12, 12)


def test_a_fork_that_ends_is_not_the_task():
    """A child that a task forks, and that runs on into the worker's code or exits, disturbs nobody."""

    @task
    def forking(x):
        child = os.fork()
        if child == 0:
            os._exit(7)
        return x, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    @pipeline
    def family():
        return forking.map([1, 2, 3])

    assert family.with_options(**HERE)() == [(1, 7), (2, 7), (3, 7)]


def test_a_closed_standard_output_disturbs_nobody():
    """A task may close its streams; the next one in the same worker prints again."""

    @task
    def close(x):
        print("before", x, flush=True)
        if x == "streams":
            sys.stdout.close()
            sys.stderr = None
        else:
            os.close(1)
            os.close(2)
        return x

    @task
    def talk(_):
        print("hello", flush=True)
        return "talked"

    @pipeline(order="calls", parallelism=1)
    def closing():
        first = talk(close("streams"))
        return first, talk(close("descriptors"))

    run = closing.with_options(**HERE).submit()
    run.wait(60)
    assert run.result() == ("talked", "talked")
    assert run.logs() == "before streams\nhello\nbefore descriptors\nhello\n"


def test_a_thread_that_runs_on_does_not_hold_the_run():
    """A task that leaves a thread behind has ended when it returns, and its worker is not used again."""

    @task
    def leaving(x):
        threading.Thread(target=time.sleep, args=(60,)).start()
        return x, os.getpid()

    @pipeline(parallelism=1)
    def threads():
        return leaving.map([1, 2])

    (one, first), (two, second) = threads.with_options(**HERE)()
    assert (one, two) == (1, 2)
    assert first != second
    assert until(lambda: not is_alive(first))


def test_a_timeout_ends_grandchildren(tmp_path):
    """Processes that a task has started, and theirs, end with it, also those in a session of their own."""
    pids = tmp_path / "pids"
    script = 'sleep 600 & echo "$$ $!" >> "$0"; sleep 600'

    @task(timeout=3)
    def parent():
        for own_session in (False, True):
            subprocess.Popen(["sh", "-c", script, str(pids)], start_new_session=own_session)
        time.sleep(600)

    @pipeline
    def family():
        return parent()

    with pytest.raises(TaskTimeoutError, match="3 s"):
        family.with_options(**HERE)()
    found = list(map(int, pids.read_text().split()))
    assert len(found) == 4
    assert until(lambda: not any(map(is_alive, found))), [pid for pid in found if is_alive(pid)]


def test_a_timeout_ends_a_task_that_does_not_listen():
    """Code that ignores the polite signal is killed after a grace."""

    @task(timeout=2)
    def deaf():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        while True:
            time.sleep(1)

    @pipeline
    def waiting():
        return deaf()

    run = waiting.with_options(**HERE).submit()
    assert run.wait(60) == "failed"
    with pytest.raises(TaskTimeoutError):
        run.result()
    assert run.logs("deaf") == "deaf\n"


def test_a_task_may_clean_up_when_it_is_ended(tmp_path):
    """``finally`` blocks run when a time-out, or a request to cancel, ends a task."""

    @task(timeout=3)
    def tidy():
        try:
            time.sleep(600)
        finally:
            (tmp_path / "tidied").touch()

    @pipeline
    def waiting():
        return tidy()

    with pytest.raises(TaskTimeoutError):
        waiting.with_options(**HERE)()
    assert (tmp_path / "tidied").exists()


# Callers that die


CALLER = """
import os, sys, time
from pyflow import pipeline, task

@task
def work(x):
    time.sleep(0.01)
    print("worked", x)
    return [x] * 2000

@task
def total(xs):
    return len(xs)

@pipeline
def many():
    return total(work.map(work.map(range(int(sys.argv[2])))))

if __name__ == "__main__":
    run = many.with_options(executor="local", store=sys.argv[1], progress=False).submit()
    print(run.id, flush=True)
    run.wait()
    print(run.status)
"""


def start_caller(tmp_path, source, *arguments, **options):
    script = tmp_path / "caller.py"
    script.write_text(source)
    command = [sys.executable, str(script), str(tmp_path / "store"), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, **options)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_caller_can_be_killed_at_any_moment(tmp_path):
    """Twenty callers are killed: their runs are lost, what was committed can be read, once each, and nobody runs on."""
    dice = random.Random(11)
    kept = 0
    for turn in range(20):
        with start_caller(tmp_path, CALLER, 10_000) as caller:
            run_id = caller.stdout.readline().strip()
            if turn % 5 == 0:  # At any moment, and some when there is something to keep, however slow the machine.
                assert until(lambda run_id=run_id: has_committed(tmp_path / "store", run_id))
            time.sleep(dice.random() * 0.8)
            caller.kill()
        assert until(lambda: not workers_of(tmp_path)), "a worker lives on"
        run = load_run(run_id, str(tmp_path / "store"))
        assert run.status == "lost"
        with pytest.raises(LostRunError, match=run_id):
            run.result()
        kept += check_commits(run)
        assert {node.status for node in run.nodes.values()} <= {"succeeded", "lost", "cancelled"}
        run.logs()
    assert kept > 0


def has_committed(store, run_id) -> bool:
    """Whether a task of the run has a record."""
    content = load_run(run_id, str(store))._content
    return any(True for _ in content.blobs.commits(content.keys.commits(run_id)))


def check_commits(run) -> int:
    """Each slot has one record, and its value is the right one; how many there are."""
    content = run._content
    records = list(content.blobs.commits(content.keys.commits(run.id)))
    assert len({slot for slot, _ in records}) == len(records)
    assert list(content.blobs.damaged(content.keys.commits(run.id))) == []
    for slot, _ in records[:5] + records[-5:]:
        node, index = map(int, slot.split("."))
        name = next(n.name for n in run.view().nodes.values() if n.id == node)
        value = run.result(name, index)
        assert value[0] == (index if name == "work" else [index] * 2000)
    return len(records)


SLEEPER = """
import signal, sys, time
from pyflow import pipeline, task

@task
def quick():
    return "kept"

@task
def slow(x, stubborn):
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("sleeping", flush=True)
    open(f"asleep-{x}", "w").close()
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        if not stubborn:
            raise
        open("pressed", "w").close()
        time.sleep(600)

@task
def told(outcome):
    open("told", "w").write(outcome.status)

@pipeline(on_exit=told)
def sleepy(stubborn):
    return slow.map([quick(), 2], stubborn=stubborn)

if __name__ == "__main__":
    sleepy.with_options(executor=sys.argv[3], store=sys.argv[1], progress=False)(sys.argv[2] == "stubborn")
"""


def interrupted(tmp_path, *, executor="local", stubborn=False, presses=1, source=SLEEPER):
    """Start a caller, press Ctrl-C once its tasks sleep, again when it has noticed; its code, what it said, and its run."""
    with start_caller(tmp_path, source, "stubborn" if stubborn else "", executor, start_new_session=True) as caller:
        store = str(tmp_path / "store")

        def has_noticed():
            return (tmp_path / "pressed").exists() or any(
                event["event"] == "cancel-requested" for event in list_runs(store)[0].events()
            )

        wanted = 2 if executor == "local" else 1
        assert until(lambda: len(list(tmp_path.glob("asleep-*"))) == wanted), caller.stderr.read()
        for press in range(presses):
            assert press == 0 or until(has_noticed)
            caller.send_signal(signal.SIGINT)
        _, errors = caller.communicate(timeout=60)
    return caller.returncode, errors, list_runs(store)[0]


def test_ctrl_c_stops_a_run_and_tells_what_was_kept(tmp_path):
    """The run is cancelled, the caller gets KeyboardInterrupt, results stay, and no process is left."""
    code, errors, run = interrupted(tmp_path)
    assert code in {1, 130, -signal.SIGINT}, errors
    assert "KeyboardInterrupt" in errors
    assert run.id in errors
    assert (run.status, run.result("quick")) == ("cancelled", "kept")
    assert (tmp_path / "told").read_text() == "cancelled"
    assert until(lambda: not workers_of(tmp_path))


def test_ctrl_c_stops_a_run_that_is_waited_for(tmp_path):
    """A handle waits for a thread of this process: the run is cancelled as in a plain call, and its exit handler runs."""
    waits = SLEEPER.replace('(sys.argv[2] == "stubborn")', '.submit(sys.argv[2] == "stubborn").result()')
    assert waits != SLEEPER
    code, errors, run = interrupted(tmp_path, source=waits)
    assert code in {1, 130, -signal.SIGINT}, errors
    assert f"KeyboardInterrupt: Run {run.id} was stopped. What had finished is kept" in errors
    assert (run.status, run.result("quick")) == ("cancelled", "kept")
    assert (tmp_path / "told").read_text() == "cancelled"
    assert until(lambda: not workers_of(tmp_path))


@pytest.mark.parametrize("executor", ["local", "inprocess"])
def test_ctrl_c_twice_ends_at_once(tmp_path, executor):
    """Even when tasks do not listen: nothing more starts, the exit handler neither, and no process is left behind."""
    code, errors, run = interrupted(tmp_path, executor=executor, stubborn=True, presses=2)
    assert code in {1, 130, -signal.SIGINT}, errors
    assert until(lambda: not workers_of(tmp_path))
    assert run.status in {"cancelled", "lost"}
    assert run.result("quick") == "kept"
    # On local its tasks are killed after two seconds, which on a busy machine are over before the second press.
    if executor == "inprocess":
        assert not (tmp_path / "told").exists()


def test_ctrl_c_stops_a_run_in_process(tmp_path):
    """The task that runs in the caller's own process is interrupted."""
    code, errors, run = interrupted(tmp_path, executor="inprocess")
    assert code in {1, 130, -signal.SIGINT}, errors
    assert "KeyboardInterrupt" in errors
    assert (run.status, run.result("quick")) == ("cancelled", "kept")
    assert (tmp_path / "told").read_text() == "cancelled"


@task
def step(x):
    if x == 3:
        list_runs()[0].cancel()
    time.sleep(0.02)
    return x


@task
def report(outcome):
    return outcome.status


@pipeline(on_exit=report)
def many_steps():
    return step.map(range(500))


def test_a_run_in_process_is_cancelled_between_its_tasks():
    """What had finished is kept, the rest does not start, and the exit handler is told."""
    run = many_steps.with_options(executor="inprocess", progress=False).submit()
    assert (run.status, run.result("report")) == ("cancelled", "cancelled")
    assert run.result("step", 3) == 3
    assert run.nodes["step"].attempts < 500


def test_the_end_of_a_caller_ends_its_workers(tmp_path):
    """A caller that exits while a submitted run goes on waits for it; idle workers go with the caller."""
    with start_caller(tmp_path, CALLER, 20) as caller:
        said, errors = caller.communicate(timeout=60)
    assert (caller.returncode, said.split()[1:]) == (0, ["succeeded"]), errors
    assert until(lambda: not workers_of(tmp_path))


# Twins


def test_twins_commit_one_result(tmp_path):
    """The same invocation executed twice at once gives one record, and both are told it."""
    twin = """
import json, sys
from pathlib import Path
from pyflow.contract import Home, Invocation
from pyflow.runtime import Session, Spool
folder = Path(sys.argv[1]); folder.mkdir()
arguments = json.loads(sys.argv[2])
arguments["home"] = Home(**arguments["home"])
arguments["indices"] = tuple(arguments["indices"])
spool = Spool(folder / "spool")
session = Session(folder, spool, sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
outcome = session.run(Invocation(**arguments))
print(json.dumps([outcome.exit_code, outcome.nonce, outcome.result]))
"""

    @task
    def pick(_):
        time.sleep(0.1)
        return os.urandom(8).hex()

    @pipeline
    def once():
        return pick.map([0])

    run = once.with_options(**HERE, store=str(tmp_path / "store")).submit()
    run.wait(60)
    content, record = run._content, run.record
    for turn in range(3):
        content.blobs.delete([info.key for info in content.blobs.list(content.keys.commits(run.id))])
        run_id = f"{run.id}-{turn}"
        arguments = {
            "home": {"store_url": content.blobs.url, "project": content.keys.project, "owner": content.keys.owner},
            "run_id": run_id, "graph_digest": record.graph_digest, "graph_size": record.graph_size,
            "node": next(n.id for n in run.graph.walk() if hasattr(n, "function")), "indices": [0],
        }  # fmt: skip
        twins = [
            subprocess.Popen(
                [sys.executable, "-c", twin, str(tmp_path / f"{turn}-{me}"), json.dumps({**arguments, "nonce": f"n{me}"}), f"w{me}"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for me in range(3)
        ]  # fmt: skip
        for process in twins:
            process.stdout.readline()
        for process in twins:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [json.loads(process.communicate(timeout=60)[0]) for process in twins]
        records = list(content.blobs.commits(content.keys.commits(run_id)))
        assert said[0] == said[1] == said[2]
        assert len(records) == 1
        assert json.loads(records[0][1])["result"] == said[0][2]


# Stores in trouble


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@task
def large(size):
    return os.urandom(size)


@pipeline
def filling(count):
    return [large(300_000) for _ in range(count)]


@pytest.mark.parametrize("executor", ["inprocess", "local"])
def test_a_full_disk_is_told(disk, executor):
    """A run on a full disk fails with a StoreError that says so; what was kept before can be read."""
    store = str(disk / "store")
    small = filling.with_options(executor=executor, progress=False, store=store).submit(2)
    assert small.wait(60) == "succeeded"
    with pytest.raises(StoreError, match="No space left"):
        filling.with_options(executor=executor, progress=False, store=store)(30)
    assert [len(part) for part in small.result()] == [300_000, 300_000]
    for run in list_runs(store):
        assert run.status in {"succeeded", "failed"}
        check_all_can_be_read(run)


@task
def filling_up(ballast):
    with Path(ballast).open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return os.urandom(300_000)


@pipeline
def brimful(ballast):
    return filling_up(ballast)


@pytest.mark.parametrize("executor", ["inprocess", "local"])
def test_the_end_of_a_run_is_written_once_there_is_room(disk, executor):
    """Without a free byte its end cannot be written: its process knows it, and writes it when there is room again."""
    store = str(disk / "store")
    with pytest.raises(StoreError, match="No space left") as caught:
        brimful.with_options(executor=executor, progress=False, store=store)(str(disk / "ballast"))
    assert any("could not be written down either" in note for note in caught.value.__notes__)
    (run,) = list_runs(store)
    assert run.status == "failed"
    content = run._content
    assert RunSummary.read(content, run.id) is None
    (disk / "ballast").unlink()
    until(lambda: RunSummary.read(content, run.id) is not None)
    assert RunSummary.read(content, run.id).failures[0][2] == "StoreError"


def check_all_can_be_read(run) -> None:
    content = run._content
    for slot, _ in content.blobs.commits(content.keys.commits(run.id)):
        node = next(n for n in run.view().nodes.values() if n.id == int(slot))
        assert len(run.result(node.name)) == 300_000


def test_a_store_that_cannot_be_written_is_told(tmp_path):
    """A folder that is not there to be made, or a file in its place, is a ConfigError before anything runs."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match="file"):
        filling.with_options(**HERE, store=str(tmp_path / "file" / "store"))(1)


def test_a_read_only_store_is_told(disk, tmp_path):
    """On a file system that is read only the call fails with a StoreError that says so; earlier runs can be read."""
    store = str(disk / "store")
    run = filling.with_options(**HERE, store=store).submit(1)
    run.wait(60)
    # The pool of idle workers, and this process, keep files of the store open, and a mount in use stays writable.
    closed = tmp_path / "closed"
    closed.mkdir()
    subprocess.run(["mount", "--bind", str(disk), str(closed)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(closed)], check=True)
    store = str(closed / "store")
    try:
        with pytest.raises(StoreError, match=r"[Rr]ead-only"):
            filling.with_options(**HERE, store=store)(1)
        assert len(load_run(run.id, store).result()[0]) == 300_000
        assert len(list_runs(store)) == 1
    finally:
        subprocess.run(["umount", "--lazy", str(closed)], check=True)


class Canary:
    """Tells when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = str(path)
        self.ballast = os.urandom(20_000)

    def __reduce__(self):
        return _sing, (self.path, self.ballast)


def _sing(path, _):
    Path(path).touch()


@pytest.mark.parametrize("executor", ["inprocess", "local"])
def test_a_flipped_bit_is_found_before_anything_is_unpickled(tmp_path, executor):
    """A damaged result is an IntegrityError that names run, node and key, for a task and for the caller."""
    store, dice = tmp_path / "store", random.Random(3)

    @task
    def damage(made, blobs):
        return made

    @task
    def flip():
        for path in store.rglob("blobs/**/*"):
            if path.is_file() and path.stat().st_size > 20_000:
                content = bytearray(path.read_bytes())
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
                path.write_bytes(content)

    @task
    def make():
        return Canary(tmp_path / "canary")

    @pipeline(order="calls")
    def damaged():
        made = make()
        flip()
        return give(made)

    run = damaged.with_options(executor=executor, progress=False, store=str(store)).submit()
    assert run.wait(60) == "failed"
    with pytest.raises(IntegrityError) as caught:
        run.result()
    key = run.artifact("make").wire_in(run._content)["digest"]
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert "give" in text
    assert run.id in text
    assert key in text
    with pytest.raises(IntegrityError, match=key):
        run.result("make")
    assert not (tmp_path / "canary").exists()

"""What executors owe to the world around a task: isolation, what it prints, files and folders, options."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pyflow.api import pipeline
from pyflow.errors import UnsupportedOptionWarning
from pyflow.testing.claims import holds, raises, same
from pyflow.testing.stage import Stage
from pyflow.tracing import task


@task
def give(value: Any) -> Any:
    return value


@task
def look() -> dict[str, Any]:
    mask = os.umask(0o22)
    os.umask(mask)
    return {
        "folder": os.getcwd(),
        "env": os.environ.get("LAW_LEAK"),
        "path": "/law-leak" in sys.path,
        "mask": mask,
        "hour": time.localtime(0).tm_hour,
        "recursion": sys.getrecursionlimit(),
        "collects": gc.isenabled(),
        "on SIGCHLD": str(signal.getsignal(signal.SIGCHLD)),
        "rings": signal.getitimer(signal.ITIMER_REAL)[0] > 500,
    }


def tasks_stand_where_the_caller_stands(stage: Stage) -> None:
    """On this machine a task's working folder and environment are the caller's, and it has nothing to read from."""
    stage.asks("sees_caller")

    @task
    def where() -> Any:
        return os.getcwd(), os.environ.get("PATH"), sys.stdin.read() if stage_has_processes else ""

    stage_has_processes = stage.has_processes

    @pipeline
    def standing() -> Any:
        return where()

    same(stage.run(standing), (os.getcwd(), os.environ.get("PATH"), ""), "what a task sees")


def workers_can_be_used_again(stage: Stage) -> None:
    """A task that starts processes, threads or a manager of its own works, as often as it is called."""

    @task
    def busy(x: int) -> Any:
        with ThreadPoolExecutor(2) as pool:
            first = list(pool.map(abs, [x, -x]))
        with multiprocessing.get_context("spawn").Manager() as manager:
            shared = manager.list([x])
            shared.append(tempfile.gettempdir() != "")
            return first, list(shared)

    @pipeline
    def again() -> Any:
        return busy.map([1, 2, 3])

    same(stage.run(again), [([x, x], [x, True]) for x in (1, 2, 3)], "the results")


def changes_do_not_leak(stage: Stage) -> None:
    """Folder, environment and ``sys.path`` are for each task as for the first, whatever others did, and for the caller."""

    @task
    def spoil(fails: bool) -> None:
        os.chdir("/")
        os.environ["LAW_LEAK"] = "leaked"
        os.environ.pop("HOME", None)
        sys.path.insert(0, "/law-leak")
        os.umask(0o177)
        os.environ["TZ"] = "XST-5"
        time.tzset()
        sys.setrecursionlimit(sys.getrecursionlimit() + 500)
        gc.disable()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 600)  # nobody would hear it, and it would end its process
        if fails:
            raise ValueError("after spoiling")

    @pipeline
    def leaking() -> Any:
        return spoil.map([True] * 3)

    @pipeline(order="calls")
    def spoiling() -> Any:
        before = [look(), task(lambda: os.environ.get("HOME"))()]
        spoil.map([False] * 4)
        return before, [look(), task(lambda: os.environ.get("HOME"))()]

    caller = os.getcwd(), dict(os.environ), list(sys.path)
    before, behind = stage.run(spoiling)
    same(behind, before, "what a task sees afterwards")
    same(before[0]["env"], None, "the variable before")
    raises(ValueError, lambda: stage.run(leaking), "after spoiling")
    same(stage.run(spoiling)[0], before, "what a later run sees")
    same((os.getcwd(), dict(os.environ), list(sys.path)), caller, "what the caller sees")


def a_temporary_folder_may_be_removed(stage: Stage) -> None:
    """A task that removes the folder for its temporary files takes none from the next."""

    @task
    def remove(i: int) -> bool:
        with tempfile.NamedTemporaryFile() as file:
            was_there = os.path.exists(file.name)
        shutil.rmtree(tempfile.gettempdir())
        return was_there

    @pipeline(parallelism=1)
    def removing() -> Any:
        return remove.map([1, 2, 3])

    stage.asks("sees_caller")  # elsewhere it may be /tmp, which is not the task's alone
    same(stage.run(removing), [True] * 3, "whether the files were there")


def a_time_zone_is_for_its_task(stage: Stage) -> None:
    """``env={"TZ": …}`` holds for what a task asks the clock."""

    @task
    def hour() -> int:
        return time.localtime(0).tm_hour

    @pipeline
    def zones() -> Any:
        return [hour.with_options(env={"TZ": zone})() for zone in ("XST-5", "UTC", "XST-7")]

    same(stage.run(zones), [5, 0, 7], "the hours at the epoch")


_LOCKING = """
import logging
import threading
from pyflow import pipeline, task

LOCK, HELD, RELEASE = threading.Lock(), threading.Event(), threading.Event()
LOG = logging.getLogger(__name__)
LOG.addHandler(logging.StreamHandler())
is_caller = False

def hold():
    global is_caller
    is_caller = True
    with LOCK:
        LOG.handlers[0].acquire()
        try:
            import NAME_slow
        finally:
            LOG.handlers[0].release()

def wait_in_the_caller():
    if is_caller:
        HELD.set()
        RELEASE.wait(180)

@task
def use(x):
    import NAME_slow
    with LOCK:
        LOG.warning("using %s", x)
    return x

@pipeline
def flow(xs):
    return use.map(xs)
"""
_SLOW_TO_IMPORT = """
import NAME
NAME.wait_in_the_caller()
"""


def locks_of_the_caller_stay_with_it(stage: Stage) -> None:
    """A run ends while a thread of the caller holds what its tasks take, too: a lock of the author, of logging, of an import."""
    stage.asks("has_processes")
    name = f"author_{uuid.uuid4().hex[:8]}"
    with stage.module(_LOCKING.replace("NAME", name), name) as author:
        Path(str(author.__file__)).with_name(f"{name}_slow.py").write_text(
            _SLOW_TO_IMPORT.replace("NAME", name), "utf-8"
        )
        holder = threading.Thread(target=author.hold)
        holder.start()
        try:
            holds(author.HELD.wait(stage.patience_s), "the thread holds the locks")
            same(stage.run(author.flow, [1, 2]), [1, 2], "the result")
            holds(holder.is_alive() and author.LOCK.locked(), "they were held all the while")
        finally:
            author.RELEASE.set()
            holder.join()
            sys.modules.pop(f"{name}_slow", None)


def env_is_set_for_its_task_only(stage: Stage) -> None:
    """``env=`` holds for the attempts of that task, on top of what is there, and for nobody else."""

    @task(env={"LAW_LEAK": "mine", "EMPTY": ""})
    def mine() -> Any:
        child = subprocess.run(["sh", "-c", "printf %s $LAW_LEAK"], capture_output=True, text=True, check=True)
        return os.environ["LAW_LEAK"], os.environ["EMPTY"], child.stdout, "PATH" in os.environ

    @pipeline(order="calls")
    def setting() -> Any:
        return mine(), look()["env"], mine.with_options(env={"LAW_LEAK": "other", "EMPTY": "no"})()

    expected = (("mine", "", "mine", True), None, ("other", "no", "other", True))
    same(stage.run(setting), expected, "what the tasks saw")


def what_is_printed_is_kept(stage: Stage) -> None:
    """Output of Python, of C code and of child processes, on both streams, is the log of its attempt, in its order."""

    @task
    def talk(name: str) -> None:
        print(name, "to out")
        print(name, "to err", file=sys.stderr)
        sys.stdout.flush()
        os.write(1, f"{name} below Python\n".encode())
        subprocess.run(["sh", "-c", f"echo {name} from a child; echo {name} child err >&2"], check=True)
        sys.stdout.write(f"{name} ends without a line break")

    @pipeline
    def talking() -> Any:
        talk("a")
        talk.map(["b", "c"])
        return give(None)

    run = stage.finish(talking)

    def expected(name: str) -> list[str]:
        said = ["to out", "to err", "below Python", "from a child", "child err", "ends without a line break"]
        return [f"{name} {text}" for text in said]

    same(run.logs("talk").splitlines(), expected("a"), "the log of a task")
    same(run.logs("talk-2", 1).splitlines(), expected("c"), "the log of an item")
    same(run.logs("talk-2[0]").splitlines(), expected("b"), "the log of an item by its name")
    same(run.logs("give"), "", "the log of a silent task")
    for name in "abc":
        holds("\n".join(expected(name)) in run.logs(), f"what {name} said is in the log of the run")


def each_attempt_has_its_log(stage: Stage) -> None:
    """What failed attempts had printed is kept, before what the last one did."""
    count = stage.counter()

    @task(retries=2, backoff=0)
    def flaky() -> None:
        number = count.up()
        print("attempt", number)
        if number < 3:
            raise ConnectionError

    @pipeline
    def trying() -> Any:
        return flaky()

    run = stage.finish(trying)
    same(run.logs("flaky"), "attempt 1\nattempt 2\nattempt 3\n", "the log")
    spans = [attempt.log for slot in run.nodes["flaky"].slots.values() for attempt in slot.attempts]
    holds(len(set(spans)) == 3 and None not in spans, f"three attempts have three spans: {spans}")


def output_of_any_kind_is_kept(stage: Stage) -> None:
    """Bytes that are no text, very long lines and much output do not disturb a task, and are kept."""

    @task
    def shout() -> int:
        os.write(2, b"\xff\xfe\x00 binary\n")
        print("\udc80 lone")
        sys.stdout.write("x" * 3_000_000)
        return 1

    @pipeline
    def shouting() -> Any:
        return shout()

    run = stage.finish(shouting)
    same(run.result(), 1, "the result")
    log = run.logs("shout")
    holds(" binary" in log and "lone" in log and log.endswith("x" * 3_000_000), "all is in the log")


def streams_that_a_task_closes_are_there_for_the_next(stage: Stage) -> None:
    """``with open(1, "w")`` closes standard output behind itself: what comes after it is kept, and nothing else takes its place."""

    @task
    def closing(x: int) -> int:
        with open(1, "w") as out:
            out.write("said below Python\n")
        os.close(2)
        return x

    @task
    def saying(x: int, _: int) -> int:
        print("item", x, flush=True)
        os.write(2, b"and below Python\n")
        return x

    @pipeline(parallelism=1)
    def both() -> Any:
        first = closing(1)
        return saying.map([1, 2, 3], _=first)

    run = stage.finish(both)
    same(run.result(), [1, 2, 3], "the results")
    same(run.logs("closing"), "said below Python\n", "the log of what closes its streams")
    expected = "".join(f"item {number}\nand below Python\n" for number in (1, 2, 3))
    same(run.logs("saying"), expected, "the logs behind it")


def files_travel_between_tasks(stage: Stage) -> None:
    """A ``Path`` that is returned arrives as a file of the consumer's own, with name, content and mode."""

    @task
    def write() -> Path:
        path = Path(tempfile.mkdtemp()) / "tool.sh"
        path.write_text("#!/bin/sh\necho from a file\n", encoding="utf-8")
        path.chmod(0o750)
        return path

    @task
    def use(path: Path) -> Any:
        mode = path.stat().st_mode & 0o777
        said = subprocess.run([str(path)], capture_output=True, text=True, check=True).stdout
        path.write_text("spoilt", encoding="utf-8")
        return path.name, oct(mode), said

    @pipeline
    def filing() -> Any:
        made = write()
        first = use(made)
        return first, use.after(first)(made), made

    first, second, path = stage.run(filing)
    same(first, ("tool.sh", "0o750", "from a file\n"), "what the first consumer saw")
    same(second, first, "what the second consumer saw")
    same(path.read_text(encoding="utf-8"), "#!/bin/sh\necho from a file\n", "the file that the caller gets")


def folders_travel_between_tasks(stage: Stage) -> None:
    """A folder arrives whole: files, empty folders, symbolic links inside of it, and mode bits."""

    @task
    def make() -> dict[str, Path]:
        folder = Path(tempfile.mkdtemp()) / "tree"
        (folder / "empty").mkdir(parents=True)
        (folder / "sub").mkdir()
        (folder / "sub" / "é data.bin").write_bytes(bytes(range(256)) * 100)
        (folder / "sub" / "closed").touch(mode=0o600)
        (folder / "link").symlink_to("sub/é data.bin")
        return {"tree": folder}

    @task
    def check(made: dict[str, Path]) -> Any:
        tree = made["tree"]
        names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
        mode = (tree / "sub" / "closed").stat().st_mode & 0o777
        return names, (tree / "link").read_bytes() == bytes(range(256)) * 100, oct(mode), (tree / "link").is_symlink()

    @pipeline
    def foldering() -> Any:
        made = make()
        return check(made), made["tree"]

    checked, tree = stage.run(foldering)
    same(checked, (["empty", "link", "sub", "sub/closed", "sub/é data.bin"], True, "0o600", True), "what arrived")
    holds((tree / "empty").is_dir(), "the caller's folder has the empty folder")


def a_path_given_to_a_pipeline_is_uploaded(stage: Stage) -> None:
    """A file or folder that the caller names arrives as it is at the time of the call, as the task's own copy."""
    given = stage.shared / "given.txt"
    given.write_text("given", encoding="utf-8")

    @task
    def read(path: Path) -> tuple[str, str]:
        text = path.read_text(encoding="utf-8")
        path.write_text("spoilt", encoding="utf-8")
        return path.name, text

    @pipeline
    def reading(path: Path, paths: list[Path]) -> Any:
        return read(path), read.map(paths)

    expected = (("given.txt", "given"), [("given.txt", "given")])
    same(stage.run(reading, given, [given]), expected, "what the tasks read")
    same(given.read_text(encoding="utf-8"), "given", "the caller's file")


def options_without_a_meaning_are_told(stage: Stage) -> None:
    """Every option is honoured, warned about, or refused; none is left out in silence, and values stay the same."""
    option, value = stage.meaningless
    options: Any = {option: value, "labels": {"team": "x"}}

    @pipeline
    def greedy() -> Any:
        return give.with_options(**options)(5)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        same(stage.run(greedy), 5, "the result")
    told = [str(w.message) for w in caught if w.category is UnsupportedOptionWarning]
    holds(len(told) == 1 and repr(option) in told[0] and "'give'" in told[0], f"{option} is warned about, once: {told}")


def parallelism_is_a_limit(stage: Stage) -> None:
    """No more tasks run at once than the pipeline allows."""

    @task(cpus=0.01)
    def span() -> tuple[float, float]:
        start = time.time()
        time.sleep(0.05)
        return start, time.time()

    @pipeline(parallelism=2)
    def limited() -> Any:
        return [span() for _ in range(6)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spans = stage.run(limited)
    for start, _ in spans:
        running = sum(other_start <= start < other_end for other_start, other_end in spans)
        holds(running <= 2, f"at most two ran at once, found {running}")


LAWS = (
    tasks_stand_where_the_caller_stands,
    workers_can_be_used_again,
    changes_do_not_leak,
    a_temporary_folder_may_be_removed,
    a_time_zone_is_for_its_task,
    locks_of_the_caller_stay_with_it,
    env_is_set_for_its_task_only,
    what_is_printed_is_kept,
    each_attempt_has_its_log,
    output_of_any_kind_is_kept,
    streams_that_a_task_closes_are_there_for_the_next,
    files_travel_between_tasks,
    folders_travel_between_tasks,
    a_path_given_to_a_pipeline_is_uploaded,
    options_without_a_meaning_are_told,
    parallelism_is_a_limit,
)

"""Runs in one process after and beside each other, and in processes that others have started."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyflow import load_run, pipeline, task
from pyflow.errors import ConfigError, NotFoundError


@task
def square(x):
    with tempfile.NamedTemporaryFile() as file:
        return x * x, Path(file.name).exists()


@pipeline
def squares(n):
    return square.map(range(n))


def test_runs_in_this_process_from_several_threads():
    """They take turns, and none is at home in the temporary folder of another's task."""
    before = tempfile.gettempdir()
    here = squares.with_options(executor="inprocess", progress=False)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(here, [1, 2, 3, 4] * 4))
    assert found == [[(x * x, True) for x in range(n)] for n in [1, 2, 3, 4] * 4]
    assert tempfile.gettempdir() == before


HAS_BEGUN, MAY_END = threading.Event(), threading.Event()


def test_a_run_beside_one_in_this_process_has_the_callers_surroundings(tmp_path):
    """Environment, folder and temporary folder of a task in another thread are nothing to it."""
    away = tmp_path / "away"
    away.mkdir()

    def borrows():
        os.chdir(str(away))
        sys.modules[__name__].HAS_BEGUN.set()
        sys.modules[__name__].MAY_END.wait(60)

    def look():
        return os.environ.get("BORROWED"), str(Path.cwd()), str(Path(tempfile.gettempdir()).parents[1])

    expected = (None, str(Path.cwd()), tempfile.gettempdir())
    borrowing = task(borrows, env={"BORROWED": "yes"})

    @pipeline
    def borrowed():
        return borrowing()

    @pipeline
    def looked():
        return task(look)()

    runs = borrowed.with_options(executor="inprocess", progress=False)
    thread = threading.Thread(target=runs)
    thread.start()
    try:
        assert HAS_BEGUN.wait(60)
        store = str(tmp_path / "store")
        assert looked.with_options(executor="local", progress=False, store=store)() == expected
    finally:
        MAY_END.set()
        thread.join()


LATE = """
import sys
from pyflow import pipeline, task

@task
def late():
    from tools.clean import clean
    return clean(1)

@pipeline
def flow():
    return late()

if __name__ == "__main__":
    for executor in ("inprocess", "inprocess", "local"):
        print(flow.with_options(executor=executor, progress=False)())
    import tools.other
    print(sys.modules["tools"].__file__, tools.other.HERE)
"""


def test_modules_that_a_task_imports_are_the_authors_own_in_this_process():
    """What a task imports in its body stays imported here, so it must be what the author has here, for the next run and for the author."""
    Path("tools").mkdir()
    Path("tools/__init__.py").touch()
    Path("tools/clean.py").write_text("def clean(x): return x + 1\n")
    Path("tools/other.py").write_text("HERE = True\n")
    Path("late.py").write_text(LATE)
    done = subprocess.run([sys.executable, "late.py"], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["2", "2", "2", f"{Path.cwd()}/tools/__init__.py True"], done.stderr


SHADOWED = """
from pyflow import pipeline, task

@task
def double(x):
    return 2 * x

@pipeline
def flow(x: int = 4):
    return double(x)

if __name__ == "__main__":
    print(flow.with_options(progress=False)())
"""


@pytest.mark.parametrize("name", ["types", "select", "platform", "struct", "pyflow"])
def test_a_file_beside_the_caller_is_no_module_of_pythons(name):
    """Workers stand where the caller stands, and import what the caller would: a ``types.py`` lies there for somebody else."""
    Path("project").mkdir()
    Path("project/script.py").write_text(SHADOWED)
    Path("elsewhere").mkdir()
    Path(f"elsewhere/{name}.py").write_text("raise SystemExit('not this one')\n")
    done = subprocess.run(
        [sys.executable, "../project/script.py"],
        cwd="elsewhere",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "8\n", done.stderr


SPAWNED = """
import multiprocessing
from pyflow import pipeline, task

class Pair:
    def __init__(self, x):
        self.x = x

@task
def double(x):
    return Pair(2 * x)

@pipeline
def flow(x):
    return double(x)

def child(executor):
    return flow.with_options(executor=executor, progress=False)(4).x

if __name__ == "__main__":
    for method in ("spawn", "forkserver", "fork"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(pool.map(child, ["inprocess", "local"]))
"""


def test_a_pipeline_is_called_in_processes_that_multiprocessing_starts():
    """There the script has another name, which nobody else can import either."""
    Path("spawned.py").write_text(SPAWNED)
    done = subprocess.run([sys.executable, "spawned.py"], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "[8, 8]\n" * 3, done.stderr


SLOW = """
import time
from pyflow import pipeline, task

@task
def slow():
    print("slow", flush=True)
    time.sleep(600)

@pipeline
def flow():
    return slow()

if __name__ == "__main__":
    flow.with_options(progress=False)()
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_a_killed_caller_is_gone_before_it_is_buried():
    """A run is lost as soon as its caller has been killed, though whoever started that has not asked how it ended."""
    Path("slow.py").write_text(SLOW)
    caller = subprocess.Popen([sys.executable, "slow.py"])
    try:
        for _ in range(300):
            if "slow" in _log_of_latest():
                break
        run = load_run("latest")
        assert run.status == "running"
        os.kill(caller.pid, 9)
        os.waitid(os.P_PID, caller.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is not buried
        assert run.status == "lost"
        assert run.wait(30) == "lost"
    finally:
        caller.wait()


def _log_of_latest():
    time.sleep(0.1)
    try:
        return load_run("latest").logs()
    except NotFoundError:  # there is no run yet
        return ""


def test_a_store_in_memory_is_refused_where_tasks_run_elsewhere():
    """Before anything runs, with what would work."""
    with pytest.raises(
        ConfigError, match=r"memory://x is in the memory of this process, and executor 'local' runs tasks in others"
    ):
        squares.with_options(executor="local", store="memory://x")(2)
    assert squares.with_options(executor="inprocess", store="memory://x")(2) == [(0, True), (1, True)]

"""Runs from odd places: several threads, running event loops, scripts with slots, workers that are told to end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyflow import pipeline, task, when
from pyflow.errors import LostTaskError, TaskTimeoutError
from pyflow.payload import LeftOutWarning

HUGE = 10**5000


@task
def echo(x):
    return x


@task
def uses_huge():
    return HUGE % 7


@task
async def later(x):
    await asyncio.sleep(0)
    return x + 1


@task(retries=1, backoff="10ms")
def ends_itself(path):
    with Path(path).open("a") as file:
        file.write("x")
    if Path(path).stat().st_size == 1:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)
    return "second"


@task(batch=2, timeout=8, retries=1, backoff="10ms")
def holds_on(seconds, path):
    """Ends well, though late, when it is asked to end."""
    attempt = Path(path, str(seconds))
    if attempt.exists():
        return "tried again"
    attempt.touch()
    try:
        time.sleep(seconds)
    except SystemExit:
        return "late"
    return "slept"


@pipeline
def echoes(n):
    return echo.map(list(range(n)))


def test_runs_in_process_from_several_threads_take_turns(capfd) -> None:
    """Runs in several threads share the process's streams and folder one at a time, and leave them as they were."""
    folder = Path.cwd()
    here = echoes.with_options(executor="inprocess")
    with ThreadPoolExecutor(3) as threads:
        assert [len(found) for found in threads.map(here, [3, 4, 5, 6])] == [3, 4, 5, 6]
    os.write(1, b"still there\n")
    assert "still there" in capfd.readouterr().out
    assert Path.cwd() == folder


def test_an_async_task_runs_where_a_loop_runs_already() -> None:
    """In a notebook's process, where a loop runs, an async task still runs to completion."""

    async def caller():
        return pipeline(lambda: later(1)).with_options(executor="inprocess")()

    assert asyncio.run(caller()) == 2


@pytest.mark.parametrize("executor", ["inprocess", "local"])
def test_numbers_too_long_to_print(executor) -> None:
    """A number of thousands of digits is an argument, a result and a global like any other."""

    @pipeline
    def both(x):
        return echo(x), uses_huge()

    assert both.with_options(executor=executor)(HUGE) == (HUGE, HUGE % 7)


def test_a_worker_that_is_told_to_end_is_lost(tmp_path) -> None:
    """SIGTERM from outside loses the task, by that name, and another attempt may follow."""
    path = str(tmp_path / "attempts")
    assert pipeline(lambda: ends_itself(path))() == "second"
    Path(path).unlink()
    with pytest.raises(LostTaskError, match="SIGTERM"):
        pipeline(lambda: ends_itself.with_options(retries=0)(path))()


def test_an_item_that_ends_late_takes_no_other_along(tmp_path) -> None:
    """An item that returns when its time-out interrupts it has failed, and the next of its batch has all of its own time."""
    assert pipeline(lambda: holds_on.map([600.0, 3.0], path=str(tmp_path)))() == ["tried again", "slept"]


@task(timeout=1)
def short():
    return 1


@pipeline
def inner():
    return short()


@task(timeout=3)
def long_around():
    inner.with_options(executor="inprocess", progress=False)()
    time.sleep(60)


@pipeline
def outer():
    return long_around()


def test_a_time_out_around_another_is_kept():
    """A task of a run within a task has a time-out of its own, and that of the task around it goes on."""
    run = outer.with_options(executor="inprocess", progress=False)
    began = time.monotonic()
    with pytest.raises(TaskTimeoutError, match="timeout of 3 s"):
        run()
    assert time.monotonic() - began < 30


def test_a_failing_condition_says_that_it_was_one() -> None:
    """An error of a comparison is told as such, beside the name of the task whose result was compared."""

    def body():
        with when(echo("text") > 0.5):
            echo(2)

    with pytest.raises(TypeError, match="not supported") as caught:
        pipeline(body).with_options(executor="inprocess")()
    assert "on the result of 'echo'" in "".join(caught.value.__notes__)


@pytest.mark.parametrize(
    "defined",
    ["@dataclass(slots=True)\nclass Point:\n    x: int\n", "class Point(NamedTuple):\n    x: int\n    y: list = []\n"],
    ids=["dataclass", "named tuple"],
)
def test_a_class_with_slots_of_a_script_comes_back(tmp_path, defined) -> None:
    """An object of a script's own class with slots is a result and an argument on workers, and of that class afterwards."""
    script = tmp_path / "script.py"
    script.write_text(
        "from dataclasses import dataclass\n"
        "from typing import NamedTuple\n"
        "from pyflow import pipeline, task\n"
        f"{defined}"
        "@task\ndef make(): return Point(3)\n"
        "@task\ndef back(p): return p, type(p) is Point, p.x, hasattr(p, '__dict__')\n"
        "@pipeline\ndef flow(): return back(make())\n"
        "if __name__ == '__main__':\n"
        "    point, *rest = flow()\n"
        "    print(type(point) is Point, point == Point(3), *rest)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "True True True 3 False\n", done.stderr


@pytest.mark.parametrize("executor", ["inprocess", "local"])
def test_a_folder_travels_without_the_store_in_it(tmp_path, monkeypatch, executor):
    """The folder of a project with its store in it may be handed over again and again; the store does not grow by itself."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.txt").write_text("data")

    @task
    def names(folder):
        return sorted(path.name for path in folder.iterdir())

    @pipeline
    def listing(folder):
        return names(folder)

    found = []
    for _ in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LeftOutWarning)
            found.append(listing.with_options(executor=executor, store=".pyflow")(Path()))
    assert found == [["data.txt"]] * 3

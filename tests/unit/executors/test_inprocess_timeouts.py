"""Time-outs in the caller's own process, where nobody outside could end a task."""

from __future__ import annotations

import re
import threading
import time

import pytest

from pyflow import pipeline, task
from pyflow.errors import TaskTimeoutError, UnsupportedOptionWarning


@task(timeout="100ms")
def waits():
    time.sleep(600)


@task(timeout="100ms")
def catches_all():
    try:
        time.sleep(600)
    except BaseException:
        return "done"


@task(timeout="100ms")
def raises_another():
    try:
        time.sleep(600)
    except TaskTimeoutError as error:
        raise ValueError("no answer") from error


@task(timeout="50ms")
def late():
    time.sleep(0.15)
    return "late"


@task(timeout="30s")
def quick():
    return "in time"


@pipeline
def one(which):
    return {f.fn.__name__: f for f in (waits, catches_all, raises_another, late, quick)}[which]()


here = one.with_options(executor="inprocess")


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("which", ["waits", "catches_all", "raises_another"])
def test_a_task_whose_time_is_up_has_failed_whatever_it_catches(which):
    """The time-out ends it, or counts at its end when it has caught the error that should have ended it."""
    with pytest.raises(TaskTimeoutError, match=r"0\.1 s"):
        here(which)


def test_what_is_quick_enough_is_left_alone():
    """No alarm stays behind a task that has ended in time."""
    assert here("quick") == "in time"


def in_a_thread(call):
    """What a call gives or raises in a thread that is not the main one."""
    found = []

    def run():
        try:
            found.append(call())
        except TaskTimeoutError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_outside_of_the_main_thread_a_time_out_is_noticed_at_the_end():
    """A warning says that nothing can interrupt the task; one that took too long has failed all the same."""
    with pytest.warns(UnsupportedOptionWarning, match="cannot interrupt a task outside of the main thread"):
        error = in_a_thread(lambda: here("late"))
    assert isinstance(error, TaskTimeoutError)
    assert re.search(r"longer than its timeout of 0\.05 s; it took [\d.]+ s", str(error))
    assert "outside of the main thread" in str(error)
    with pytest.warns(UnsupportedOptionWarning):
        assert in_a_thread(lambda: here("quick")) == "in time"

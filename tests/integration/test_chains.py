"""Calls that only wait for one other are sent along with it: what fails, dies or is left behind must not be carried on."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from pyflow import pipeline, task
from pyflow.errors import LostTaskError


@task
def step(x):
    return [*x, os.getpid()]


@task
def last_straw(x):
    raise ValueError(len(x))


@task
def die_once(x, marker):
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(3)
    return [*x, os.getpid()]


@task
def leave_a_thread(x):
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
    return [*x, os.getpid()]


@task
def hold(x, folder):
    """Say that it is at it, and go on when it is told to."""
    Path(folder, "held").touch()
    wait_for(Path(folder, "let go").exists)
    return [*x, os.getpid()]


@task
def fail_meanwhile(folder):
    wait_for(Path(folder, "held").exists)
    raise ValueError("meanwhile")


def wait_for(is_so):
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def ends(run):
    """How each node has ended, in the order of the calls, and how many attempts it took."""
    return [(node.status, node.attempts) for node in run.nodes.values()]


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_chain_stays_in_one_worker_and_each_link_is_told():
    """One process runs it, and the run knows of each call when it began and what came of it."""

    @pipeline
    def chain():
        value = step([])
        for _ in range(19):
            value = step(value)
        return value

    run = chain.submit()
    pids = run.result()
    assert len(pids) == 20
    assert len(set(pids)) <= 2
    assert [node.attempts for node in run.nodes.values()] == [1] * 20
    assert {node.status for node in run.nodes.values()} == {"succeeded"}


def test_nothing_behind_a_failure_runs():
    """The calls behind the one that raised have not begun, and are cancelled."""

    @pipeline
    def chain():
        return step(step(last_straw(step(step([])))))

    run = chain.submit()
    with pytest.raises(ValueError, match="2"):
        run.result()
    assert [node.status for node in run.nodes.values()] == [
        "succeeded",
        "succeeded",
        "failed",
        "cancelled",
        "cancelled",
    ]
    assert [node.attempts for node in run.nodes.values()] == [1, 1, 1, 0, 0]


def test_a_death_in_the_middle_is_the_middles_alone(tmp_path):
    """The call that ended its worker is lost, and with a retry the chain goes on from there."""

    @pipeline
    def chain(retries):
        value = die_once.with_options(retries=retries)(step([]), str(tmp_path / f"marker-{retries}"))
        return step.with_options(retries=retries)(value)

    with pytest.raises(LostTaskError, match="code 3"):
        chain(0)
    run = chain.submit(1)
    pids = run.result()
    assert len(pids) == 3
    assert [node.attempts for node in run.nodes.values()] == [1, 2, 1]


def test_what_a_link_leaves_behind_does_not_meet_the_next():
    """A call that left a thread was the last one in its worker."""

    @pipeline
    def chain():
        return step(leave_a_thread(step([])))

    pids = chain()
    assert pids[0] == pids[1]
    assert pids[2] != pids[1]


def test_a_failure_elsewhere_stops_a_chain(tmp_path):
    """What has not begun when another call fails is given back by the worker that had it at hand."""

    @pipeline
    def both():
        value = hold(step([]), str(tmp_path))
        for _ in range(20):
            value = step(value)
        return value, fail_meanwhile(str(tmp_path))

    run = both.submit()
    wait_for(lambda: any(e["event"] == "ended" and e["status"] == "failed" for e in run.events()))
    # The driver has asked for the rest by then, for what it notes is seen when it has done all that came of it; and the
    # worker looks for that between two links. So however busy the machine, none of them begins.
    (tmp_path / "let go").touch()
    with pytest.raises(ValueError, match="meanwhile"):
        run.result()
    assert ends(run) == [("succeeded", 1), ("succeeded", 1), *[("cancelled", 0)] * 20, ("failed", 1)]


def test_a_cancelled_chain_ends_where_it_is(tmp_path):
    """The call that runs is ended, and none of those behind it begins."""

    @pipeline
    def chain():
        value = hold(step([]), str(tmp_path))
        for _ in range(20):
            value = step(value)
        return value

    run = chain.submit()
    wait_for((tmp_path / "held").exists)
    run.cancel()
    assert run.wait(timeout_s=60) == "cancelled"
    assert ends(run) == [("succeeded", 1), ("cancelled", 1), *[("cancelled", 0)] * 20]

"""What the disk has, and when: what was written to a folder by the last sync is what would survive a power cut."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from pyflow import pipeline, task
from pyflow.store.folder import sync_file_system

EXECUTORS = pytest.mark.parametrize("executor", ["local", "inprocess"])


@task
def make(x):
    print("making", x)
    return str(x) * 20_000


@task
def fail(x):
    raise ValueError(x)


@task
def wait_for(_, sign):
    """Whether the sign came."""
    end = time.monotonic() + 60
    while not Path(sign).exists() and time.monotonic() < end:
        time.sleep(0.02)
    return Path(sign).exists()


@pipeline
def making():
    return make.map(range(5))


@pipeline
def failing():
    return fail(make(1))


@pipeline
def lasting(sign):
    return wait_for(make(1), sign)


def files_of(store):
    """All that lies in a store, by its path there; not what a worker renames at this moment."""
    found = {}
    for path in Path(store).rglob("*"):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            found[str(path.relative_to(store))] = path.read_bytes()
    return found


def find(files, name):
    """The content of the one file whose path ends so; nothing if there is none."""
    return b"".join(content for path, content in files.items() if path.endswith(name))


@pytest.fixture
def synced(tmp_path, monkeypatch):
    """What a store held each time that the disk was asked to have it; a file ``has-commit`` appears once that was a commit."""
    seen = []

    def sync_and_remember(store):
        seen.append(files_of(store))
        sync_file_system(store)
        if find(seen[-1], "/commits/log"):
            (tmp_path / "has-commit").touch()

    monkeypatch.setattr("pyflow.store.folder.sync_file_system", sync_and_remember)
    return seen


@EXECUTORS
@pytest.mark.parametrize("flow", [making, failing], ids=["success", "failure"])
def test_the_disk_has_all_of_a_run_before_it_is_reported(tmp_path, synced, executor, flow):
    """Results and events lie on the disk before the summary is written that says the end, and the summary a little later."""
    store = tmp_path / "store"
    run = flow.with_options(executor=executor, store=str(store), progress=False).submit()
    run.wait()
    now = files_of(store)
    assert find(now, "/summary.json")
    end = time.monotonic() + 60
    while synced[-1] != now and time.monotonic() < end:
        time.sleep(0.02)
    assert synced[-1] == now
    before = next(i for i, files in enumerate(synced) if find(files, "/summary.json")) - 1
    for name in ("/commits/log", "/events/driver"):
        assert find(synced[before], name) == find(now, name) != b""


@EXECUTORS
@pytest.mark.usefixtures("synced")
def test_the_disk_has_a_commit_while_its_run_goes_on(tmp_path, executor):
    """What has ended is synced though another task takes long."""
    flow = lasting.with_options(executor=executor, store=str(tmp_path / "store"), progress=False)
    assert flow(str(tmp_path / "has-commit"))

"""A run that goes on beside its caller, and cannot be carried out: the error reaches whoever asks, and who never asks."""

from __future__ import annotations

import pytest

from pyflow import pipeline, task
from pyflow.api import run as run_module
from pyflow.api import start
from pyflow.errors import StoreError


@task
def double(x):
    return 2 * x


@pipeline
def flow():
    return double(1)


@pytest.fixture
def full_disk(monkeypatch):
    """The run's thread begins when the disk has just become full."""
    error = StoreError("Cannot write 'v1/x': no space left on the disk.")

    def open_progress(*_args, **_more):
        raise error from OSError(28, "No space left on device")

    monkeypatch.setattr(start, "open_progress", open_progress)
    return error


def test_the_error_is_raised_as_by_a_plain_call(full_disk, capfd):
    """It is the same object with the same cause, after one line for those who never ask for the result."""
    run = flow.with_options(progress=False).submit()
    assert run.wait(timeout_s=60) == "lost"
    with pytest.raises(StoreError) as caught:
        run.result()
    assert caught.value is full_disk
    assert isinstance(caught.value.__cause__, OSError)
    assert capfd.readouterr().err == f"Run {run.id} could not be carried out: StoreError: {full_disk}\n"


@pytest.mark.parametrize("node", [None, "double"])
def test_ctrl_c_says_how_to_come_back_to_a_run_that_goes_on(node, monkeypatch):
    """On a cluster, or in another process: nothing is cancelled, and the words are those of a plain call."""
    run = flow.prepare((), {}).run  # recorded, and not carried out by a thread of this process
    monkeypatch.setattr(run_module.time, "sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt, match=f"Run {run.id} goes on. Watch it: pyflow logs --follow {run.id}"):
        run.result(node)
    run.cancel()
    with pytest.raises(KeyboardInterrupt, match="has been asked to end, and does so by itself"):
        run.wait()

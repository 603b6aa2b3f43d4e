"""The end of a run that the store would not take is known here, and written when it can be."""

from __future__ import annotations

import uuid

import pytest
from argo_world import until

from pyflow.errors import StoreError
from pyflow.runs import RunSummary, unwritten, unwritten_summary, write_once_possible
from pyflow.store import ContentStore, Keys, open_blobs
from pyflow.store.memory import MemoryBlobs

SUMMARY = RunSummary(run_id="run-1", status="failed", ended_at=1.0, duration_s=1.0)


@pytest.fixture
def content(monkeypatch):
    """A store with two runs, of which the first has ended."""
    monkeypatch.setattr(unwritten, "_FIRST_PAUSE_S", 0.01)
    found = ContentStore(open_blobs(f"memory://{uuid.uuid4().hex}"), Keys("p", "o"))
    for run_id in ("run-1", "run-2"):
        found.blobs.put(found.keys.run_info(run_id), [b"{}"])
    return found


@pytest.fixture
def full(monkeypatch):
    """Call it when the store is to take something again."""
    patch = pytest.MonkeyPatch()
    tries = []

    def refuse(_self, key, _parts):
        tries.append(key)
        raise StoreError("No space left")

    patch.setattr(MemoryBlobs, "put", refuse)
    yield lambda: until(lambda: len(tries) > 2) and patch.undo()
    patch.undo()


def test_it_is_known_until_it_is_written(content, full):
    """Every look finds it, in this process or in the store."""
    write_once_possible(SUMMARY, content)
    assert unwritten_summary(content, "run-1") == SUMMARY
    assert unwritten_summary(content, "run-2") is None
    full()
    until(lambda: unwritten_summary(content, "run-1") is None)
    assert RunSummary.read(content, "run-1") == SUMMARY


def test_what_somebody_has_written_stays(content):
    """An end that is there is not written over."""
    other = RunSummary(run_id="run-1", status="succeeded", ended_at=1.0, duration_s=1.0)
    other.write(content)
    write_once_possible(SUMMARY, content)
    until(lambda: unwritten_summary(content, "run-1") is None)
    assert RunSummary.read(content, "run-1") == other


def test_nothing_of_a_removed_run_comes_back(content):
    """It was removed while its end could not be written."""
    content.blobs.delete([content.keys.run_info("run-1")])
    write_once_possible(SUMMARY, content)
    until(lambda: unwritten_summary(content, "run-1") is None)
    assert RunSummary.read(content, "run-1") is None


def test_a_store_that_is_away_is_waited_for(content):
    """A drive that is not mounted has no runs at all, which does not mean that this one was removed."""
    records = {run_id: content.keys.run_info(run_id) for run_id in ("run-1", "run-2")}
    content.blobs.delete(records.values())
    write_once_possible(SUMMARY, content)
    assert unwritten_summary(content, "run-1") == SUMMARY
    for key in records.values():
        content.blobs.put(key, [b"{}"])
    until(lambda: RunSummary.read(content, "run-1") == SUMMARY)

"""``store copy``: a run arrives whole, or is not there; copied again it changes nothing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import tracemalloc
import uuid

import pytest
from servers import BUCKET
from unit.upkeep.conftest import again, content_of, digests, each_word, measure, run

from pyflow import failpoints, load_run
from pyflow.digest import CHUNK_SIZE
from pyflow.errors import IntegrityError, StoreError
from pyflow.store import ContentStore
from pyflow.upkeep import Copied, copy_run
from pyflow.upkeep.copy import _copy_blob

COPY = """
import sys
from pyflow.store import ContentStore, Keys, open_blobs
from pyflow.upkeep import copy_run
source, target, project, owner, run_id = sys.argv[1:]
keys = Keys(project, owner)
copy_run(ContentStore(open_blobs(source), keys), ContentStore(open_blobs(target), keys), run_id)
"""


def records_of(content, run_id):
    """All that is kept of a run, but for how it is kept."""
    blobs, folder = content.blobs, content.keys.run(run_id)
    logs = {
        info.key: blobs.read_log(info.key) for kind in ("events", "logs") for info in blobs.logs(f"{folder}/{kind}")
    }
    return dict(blobs.commits(content.keys.commits(run_id))), logs, blobs.get(content.keys.run_info(run_id))


def test_a_run_goes_to_a_bucket_and_back(tmp_path, place):
    """Results, logs, events and states are the same there, and again here; equal byte for byte."""
    done = run(measure, 40_000, "a")
    here, there, back = content_of(), content_of(place), content_of(str(tmp_path / "back"))
    copied = copy_run(here, there, done.id)
    assert (copied.commits, copied.blobs) == (2, len(digests(here)))
    copy_run(there, back, done.id)
    for store in (place, str(tmp_path / "back")):
        found = load_run(done.id, store)
        assert (found.status, found.result()) == ("succeeded", 40_001)
        assert found.result("large") == b"a" + bytes(40_000)
        assert found.logs() == done.logs()
        assert list(found.events()) == list(done.events())
    assert records_of(here, done.id) == records_of(there, done.id) == records_of(back, done.id)


def test_copying_again_changes_nothing(place):
    """The second copy finds all of it there."""
    done = run(each_word, 5)
    here, there = content_of(), content_of(place)
    first, second = copy_run(here, there, done.id), copy_run(here, there, done.id)
    assert (second.blobs, second.present) == (0, first.blobs)
    assert records_of(here, done.id) == records_of(there, done.id)


def test_arguments_from_other_runs_travel_along(place):
    """A copied run needs no other run: what it took as an argument comes with it."""
    done = run(again, run(measure, 40_000, "a").artifact("large"))
    copy_run(content_of(), content_of(place), done.id)
    assert load_run(done.id, place).result() == 40_001
    assert len(digests(content_of(place))) < len(digests(content_of()))


@pytest.mark.parametrize("point", failpoints.COPY)
def test_a_copy_may_be_killed(tmp_path, point):
    """Killed behind any step, the run is not there or is whole, and the same command finishes it."""
    done = run(measure, 40_000, "a")
    here, there = content_of(), content_of(str(tmp_path / "there"))
    keys = here.keys
    command = [sys.executable, "-c", COPY, here.blobs.url, there.blobs.url, keys.project, keys.owner, done.id]
    environment = {**os.environ, failpoints.VARIABLE: f"{point}:1:kill"}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    is_there = there.blobs.info(keys.run_info(done.id)) is not None
    assert is_there == (point == "copy.record")
    copy_run(here, there, done.id)
    assert records_of(here, done.id) == records_of(there, done.id)


def test_what_is_damaged_is_not_copied(tmp_path):
    """A blob that is not what its digest says stops the copy, and the run does not appear there."""
    done = run(measure, 40_000, "a")
    content = content_of()
    digest = done.artifact("large")._wire["digest"]
    content.blobs.put(content.keys.blob(digest), [bytes(40_101)])
    there = content_of(str(tmp_path / "there"))
    with pytest.raises(IntegrityError, match=digest):
        copy_run(content, there, done.id)
    assert there.blobs.info(content.keys.run_info(done.id)) is None


def test_another_run_of_the_same_name_is_not_replaced(tmp_path):
    """Where the target holds other results under the run's id, nothing of them is touched."""
    done = run(measure, 10, "a")
    here, there = content_of(), content_of(str(tmp_path / "there"))
    slot, _ = next(iter(here.blobs.commits(here.keys.commits(done.id))))
    there.blobs.commit(there.keys.commits(done.id), slot, b'{"other": true}')
    with pytest.raises(IntegrityError, match="holds another run"):
        copy_run(here, there, done.id)
    assert there.blobs.committed(there.keys.commits(done.id), slot) == b'{"other": true}'


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_large_blob_travels_in_pieces(seaweed, monkeypatch, tmp_path, kind):
    """A result of a bucket that is copied takes the memory of a few chunks, not its own size; nothing is left on the disk."""
    seaweed.enter(monkeypatch)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "aside"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "aside").mkdir()
    there = str(tmp_path / "there") if kind == "folder" else f"s3://{BUCKET}/{uuid.uuid4().hex}"
    source, target = content_of(f"s3://{BUCKET}/{uuid.uuid4().hex}"), content_of(there)
    size = 12 * CHUNK_SIZE + 17
    digest = source.put_blob([bytes(size)]).hex
    copied = Copied("r1")
    tracemalloc.start()
    try:
        _copy_blob(source, target, digest, copied)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * CHUNK_SIZE
    assert (copied.blobs, copied.size_bytes) == (1, size)
    assert target.read_blob(digest, size) == bytes(size)
    assert list((tmp_path / "aside").iterdir()) == []


def test_no_room_for_a_blob_on_its_way_is_told(moto, monkeypatch, tmp_path):
    """A temporary folder that takes nothing is named, with what would help."""
    moto.enter(monkeypatch)
    source, target = content_of(f"s3://{BUCKET}/{uuid.uuid4().hex}"), content_of(str(tmp_path / "there"))
    digest = source.put_blob([bytes(CHUNK_SIZE + 1)]).hex

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ContentStore, "copy_blob", full)
    with pytest.raises(StoreError, match=r"A blob of 16 MiB on its way from s3://.*No space left.*TMPDIR"):
        _copy_blob(source, target, digest, Copied("r1"))

"""Every store keeps the same laws."""

from __future__ import annotations

import uuid

import pytest

from pyflow.store import BlobStore, open_blobs
from pyflow.testing import check_blob_store, store_laws, store_races


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path) -> BlobStore:
    """A store that is new and empty."""
    return open_blobs(tmp_path / "store" if request.param == "folder" else f"memory://{uuid.uuid4().hex}")


@pytest.mark.parametrize("law", store_laws(), ids=lambda law: law.__name__)
def test_store_keeps_the_law(store, law):
    """Every store keeps the same promises."""
    law(store)


@pytest.mark.parametrize("race", store_races(), ids=lambda race: race.__name__)
def test_processes_share_a_folder(tmp_path, race):
    """Several processes may work on one folder at once."""
    race(open_blobs(tmp_path / "store"))


def test_the_suite_names_the_broken_law():
    """A store that breaks a law hears which one, and how."""
    kept = {}

    class Forgetful:
        url = "memory://forgetful"

        def put(self, key, parts):
            kept[key] = b"".join(parts)[:100]

        def get(self, key):
            return kept[key]

        def read(self, key):
            return memoryview(kept[key])

    with pytest.raises(AssertionError, match=r"^what_was_put_is_got: The parts that were put .*\nget: expected b"):
        check_blob_store(Forgetful)

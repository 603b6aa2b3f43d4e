"""Every store keeps the same laws."""

from __future__ import annotations

import uuid

import pytest
from servers import BUCKET

from pyflow.store import BlobStore, open_blobs
from pyflow.testing import check_blob_store, store_laws, store_races

IN_A_BUCKET = ["moto", "seaweed", "deaf"]

# Of two at the same moment, a store that ignores create-only writes lets both through: see docs/s3.md.
NEEDS_CREATE_ONLY = {"of_many_creators_one_succeeds", "twins_agree", "twins_agree_behind_a_false_record"}


@pytest.fixture(params=["folder", "memory", *IN_A_BUCKET])
def store(request, tmp_path, monkeypatch) -> BlobStore:
    """A store that is new and empty."""
    if request.param == "folder":
        return open_blobs(tmp_path / "store")
    if request.param == "memory":
        return open_blobs(f"memory://{uuid.uuid4().hex}")
    return in_a_bucket(request, request.param, monkeypatch)


def in_a_bucket(request, name: str, monkeypatch) -> BlobStore:
    """A new store on one of the servers."""
    request.getfixturevalue(name).enter(monkeypatch)
    return open_blobs(f"s3://{BUCKET}/{uuid.uuid4().hex}")


@pytest.mark.parametrize("law", store_laws(), ids=lambda law: law.__name__)
def test_store_keeps_the_law(store, law, request):
    """Every store keeps the same promises."""
    if law.__name__ in NEEDS_CREATE_ONLY and request.node.callspec.params["store"] == "deaf":
        pytest.skip("this store has no create-only writes")
    law(store)


@pytest.mark.parametrize("race", store_races(), ids=lambda race: race.__name__)
@pytest.mark.parametrize("place", ["folder", "seaweed"])
def test_processes_share_a_store(tmp_path, monkeypatch, request, place, race):
    """Several processes may work on one store at once."""
    race(open_blobs(tmp_path / "store") if place == "folder" else in_a_bucket(request, place, monkeypatch))


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

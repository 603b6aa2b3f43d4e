"""Keys are made from ids only, and cannot climb, hide or mean something elsewhere."""

from __future__ import annotations

import pytest

from pyflow.errors import StoreError
from pyflow.store import Keys, check_key, check_segment
from pyflow.testing.store_laws import HOSTILE_KEYS

DIGEST = "0123456789abcdef" * 4
KEYS = Keys("demo", "ann")


def test_all_keys_of_the_layout():
    """The layout, written out once more by hand."""
    assert KEYS.blob(DIGEST) == f"v1/demo/blobs/01/{DIGEST}"
    assert KEYS.chunks(DIGEST) == f"v1/demo/blobs/01/{DIGEST}.chunks"
    assert KEYS.runs() == "v1/demo/runs/ann"
    assert KEYS.run("r1") == "v1/demo/runs/ann/r1"
    assert KEYS.run_info("r1") == "v1/demo/runs/ann/r1/run.json"
    assert KEYS.events("r1", "w-1") == "v1/demo/runs/ann/r1/events/w-1"
    assert KEYS.log("r1", "w-1") == "v1/demo/runs/ann/r1/logs/w-1"
    assert KEYS.commits("r1") == "v1/demo/runs/ann/r1/commits"
    assert KEYS.cancel("r1") == "v1/demo/runs/ann/r1/marks/cancel"


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_hostile_keys_are_refused(key):
    """A hostile key is refused wherever it is used."""
    with pytest.raises(StoreError):
        check_key(key)


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "a\\b", "%2e%2e", "a\0", "a\n", "é", "a b", "a" * 129])
def test_hostile_names_enter_no_key(name):
    """Neither project, owner, run nor writer can smuggle in a path."""
    with pytest.raises(StoreError, match="cannot be part of a key"):
        Keys(name, "ann")
    with pytest.raises(StoreError, match="The owner"):
        Keys("demo", name)
    with pytest.raises(StoreError, match="The run id"):
        KEYS.commits(name)
    with pytest.raises(StoreError, match="The writer"):
        KEYS.events("r1", name)


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "A" * 64, "../" + "0" * 61, "é" * 64, "０" * 64])
def test_only_digests_name_blobs(digest):
    """What is not 64 lower-case hexadecimal digits names no blob."""
    with pytest.raises(StoreError, match="is not a digest"):
        KEYS.blob(digest)


def test_the_longest_names_fit():
    """Ids of 128 characters everywhere still make a legal key."""
    keys = Keys("p" * 128, "o" * 128)
    assert check_key(keys.events("r" * 128, "w" * 128))
    assert check_segment("Case.is_kept-1", what="name") == "Case.is_kept-1"

"""Stores against a model, and damage of any kind against verification."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyflow.digest import CHUNK_SIZE
from pyflow.errors import IntegrityError, NotFoundError
from pyflow.store import BlobStore, ContentStore, Keys, open_blobs

BOOK = "v1/p/runs/o/r/commits"
KEYS = Keys("p", "o")

# Names whose order as keys and as file names differ, kept apart from each other's prefixes.
blob_keys = st.sampled_from(["v1/b/a", "v1/b/a-b", "v1/b/a.b", "v1/b/c/d", "v1/b/c/e", "v1/b/c0", "v1/b/C", "v1/z"])
log_keys = st.sampled_from(["v1/logs/w1", "v1/logs/w2"])
slots = st.sampled_from(["1", "2", "2.0", "2.0.1"])
contents = st.one_of(st.binary(max_size=50), st.binary(max_size=3).map(lambda seed: seed * 40_000))
records = contents.map(lambda record: record.replace(b"\n", b" "))

operations = st.one_of(
    st.tuples(st.just("put"), blob_keys, st.lists(contents, max_size=3)),
    st.tuples(st.just("create"), blob_keys, contents),
    st.tuples(st.just("delete"), st.lists(st.one_of(blob_keys, log_keys), max_size=3)),
    st.tuples(st.just("append"), log_keys, contents),
    st.tuples(st.just("commit"), slots, records),
    st.tuples(st.just("reopen")),
)


class Model:
    """What a store must hold, as plain dicts."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.logs: dict[str, bytes] = {}
        self.commits: dict[str, bytes] = {}

    def do(self, name, *arguments):
        """Do to the dicts what the operation does to a store; its answer."""
        return getattr(self, name)(*arguments)

    def put(self, key, parts):
        self.blobs[key] = b"".join(parts)

    def create(self, key, data):
        return key not in self.blobs and self.blobs.setdefault(key, data) == data

    def delete(self, keys):
        for key in keys:
            self.blobs.pop(key, None)
            self.logs.pop(key, None)

    def append(self, key, data):
        start = len(self.logs.get(key, b""))
        self.logs[key] = self.logs.get(key, b"") + data
        return start

    def commit(self, slot, record):
        return self.commits.setdefault(slot, record)

    def reopen(self):
        return None


def do(store: BlobStore, name, *arguments):
    if name == "commit":
        return store.commit(BOOK, *arguments)
    return getattr(store, name)(*arguments)


def check(store: BlobStore, model: Model) -> None:
    assert {info.key: info.size_bytes for info in store.list("v1/b")} == {
        key: len(data) for key, data in model.blobs.items() if key.startswith("v1/b/")
    }
    assert [info.key for info in store.list("v1/b")] == sorted(key for key in model.blobs if key.startswith("v1/b/"))
    assert {key: store.get(key) for key in model.blobs} == model.blobs
    assert {key: bytes(store.read(key, 1, 70_000)) for key in model.blobs} == {
        key: data[1:70_001] for key, data in model.blobs.items()
    }
    assert {info.key: store.read_log(info.key) for info in store.logs("v1/logs")} == model.logs
    assert dict(store.commits(BOOK)) == model.commits
    assert {slot: store.committed(BOOK, slot) for slot in model.commits} == model.commits


@pytest.mark.parametrize("kind", ["folder", "memory"])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(operations, max_size=25))
def test_a_store_does_what_a_dict_would(kind, tmp_path, steps):
    """After any operations, a store holds what plain dicts hold, and every answer was theirs."""
    name = uuid.uuid4().hex
    store, model = open_blobs(tmp_path / name if kind == "folder" else f"memory://{name}"), Model()
    for step in steps:
        if step[0] == "reopen":
            store = open_blobs(store.url)
        else:
            assert do(store, *step) == model.do(*step), step
    check(store, model)
    check(open_blobs(store.url), model)


@pytest.fixture(scope="module")
def large_blob(tmp_path_factory):
    """A folder store with one blob of two chunks."""
    store = open_blobs(tmp_path_factory.mktemp("large") / "store")
    data = bytes(range(256)) * (CHUNK_SIZE // 256) + b"the second chunk"
    return ContentStore(store, KEYS), ContentStore(store, KEYS).put_blob([data]), data


def damage(draw, data: bytes) -> bytes:
    """The same bytes with a bit flipped, cut short, extended, or with a block moved."""
    kind = draw(st.sampled_from(["flip", "cut", "extend", "move"]))
    position = draw(st.integers(0, max(0, len(data) - 1)))
    if kind == "flip" and data:
        return data[:position] + bytes([data[position] ^ (1 << draw(st.integers(0, 7)))]) + data[position + 1 :]
    if kind == "cut" and data:
        return data[:position]
    if kind == "move":
        return data[position:] + data[:position]
    return data + draw(st.binary(min_size=1, max_size=10))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), content=st.binary(max_size=300))
def test_any_damage_of_a_blob_is_found(data, content, tmp_path):
    """Whatever happens to the bytes of a blob, it is read as it was or not at all."""
    store = open_blobs(tmp_path / "store")
    kept = ContentStore(store, KEYS).put_blob([content])
    path = tmp_path / "store" / KEYS.blob(kept.hex)
    damaged = damage(data.draw, content)
    path.write_bytes(damaged)
    if damaged == content:
        assert ContentStore(store, KEYS).read_blob(kept.hex, len(content)) == content
    else:
        with pytest.raises(IntegrityError, match=kept.hex):
            ContentStore(store, KEYS).read_blob(kept.hex, len(content))
    path.unlink()


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_damage_of_a_large_blob_is_found(data, large_blob):
    """The same for a blob of two chunks and its list of chunk digests."""
    content, kept, whole = large_blob
    key = data.draw(st.sampled_from([KEYS.blob(kept.hex), KEYS.chunks(kept.hex)]))
    before = content.blobs.get(key)
    content.blobs.delete([key])
    if data.draw(st.booleans()):
        content.blobs.put(key, [damage(data.draw, before)])
    if content.blobs.info(key) is not None and content.blobs.get(key) == before:
        assert content.read_blob(kept.hex, len(whole)) == whole
    else:
        with pytest.raises((IntegrityError, NotFoundError), match=kept.hex):
            content.read_blob(kept.hex, len(whole))
    content.blobs.put(key, [before])

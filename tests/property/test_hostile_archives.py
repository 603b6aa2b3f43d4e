"""Environment archives that anybody may have written: unpacked or refused with pyflow's own error, and never a file outside."""

from __future__ import annotations

import contextlib
import json
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow.environments.archive import BLOCK_SIZE, MAGIC, read_contents, unpack_archive, write_archive
from pyflow.errors import IntegrityError

NAMES = st.one_of(
    st.text(max_size=12),
    st.lists(
        st.sampled_from(["a", "b", "..", ".", "", "é", "CON", "a\0b", "\\", "\ud800", "x" * 300, "~"]), min_size=1
    ).map("/".join),
    st.sampled_from(["/etc/passwd", "../../escaped", "a/../../b", "a//b", "C:\\x", "./a", "a/"]),
    st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=2),
)
SIZES = st.one_of(
    st.integers(0, 40), st.integers(-5, BLOCK_SIZE * 3), st.sampled_from([2**62, 10**30, 1.5, True, "9", None])
)
ENTRIES = st.one_of(
    st.tuples(NAMES, SIZES, st.sampled_from([0, 1, "x", None])).map(list),
    st.lists(st.integers(), max_size=4),
    st.none(),
)
BODIES = st.one_of(
    st.binary(max_size=60), st.binary(max_size=60).map(zlib.compress), st.just(zlib.compress(bytes(9 << 20)))
)


def archive_of(index: object, blocks: list[bytes]) -> bytes:
    """Blocks and an index as an archive has them, whatever they say."""
    packed = zlib.compress(json.dumps(index).encode())
    return MAGIC + b"".join(blocks) + packed + len(packed).to_bytes(8, "big")


def unpack(data: bytes) -> list[Path]:
    """Unpack bytes; which files lie outside of the folder afterwards. It may be refused by pyflow, or by the disk (too long a name)."""
    with tempfile.TemporaryDirectory() as name:
        archive, into = Path(name) / "archive", Path(name) / "deep" / "inside" / "tree"
        archive.write_bytes(data)
        into.mkdir(parents=True)
        with contextlib.suppress(IntegrityError, OSError):
            unpack_archive(archive, read_contents(archive), into)
        return [
            p for p in Path(name).rglob("*") if into not in [p, *p.parents] and p != archive and p not in into.parents
        ]


@given(st.lists(ENTRIES, max_size=5), st.lists(BODIES, max_size=3), st.data())
def test_a_hostile_index_leads_nowhere(files, blocks, data):
    """Names that lead outside, come twice or are no names, sizes that are none or lie, blocks of anything."""
    sizes = data.draw(st.sampled_from([[len(b) for b in blocks], [-1, 5], ["x"], None, [1.5], [10**30]]))
    index = data.draw(st.sampled_from([{"files": files, "blocks": sizes}, {"files": files}, files, "text", None]))
    assert unpack(archive_of(index, blocks)) == []


@given(st.lists(st.tuples(NAMES.filter(lambda n: isinstance(n, str)), st.binary(max_size=40)), max_size=4))
def test_a_true_archive_of_hostile_names_leads_nowhere(files):
    """Sizes and blocks are right, so that only the names are in the way."""
    stream = b"".join(content for _, content in files)
    blocks = [zlib.compress(stream)] if stream else []
    index = {"files": [[name, len(content), 0] for name, content in files], "blocks": [len(b) for b in blocks]}
    assert unpack(archive_of(index, blocks)) == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "tree" / "a").mkdir(parents=True)
    for name in ("a/one.py", "two.py", "empty"):
        (folder / "tree" / name).write_text(name * 30 if name != "empty" else "")
    with (folder / "archive").open("wb") as file:
        write_archive(folder / "tree", file)
    return (folder / "archive").read_bytes()


@given(st.data())
def test_a_changed_archive_leads_nowhere(whole, data):
    """Bytes cut out, put in or changed anywhere in a true archive."""
    at = data.draw(st.integers(0, len(whole)))
    until = data.draw(st.integers(at, min(len(whole), at + 60)))
    assert unpack(whole[:at] + data.draw(st.binary(max_size=40)) + whole[until:]) == []


def test_each_truncation_is_refused(tmp_path, whole):
    """An archive that ends too early is none, wherever it ends."""
    for end in range(len(whole)):
        (tmp_path / "archive").write_bytes(whole[:end])
        with pytest.raises(IntegrityError):
            read_contents(tmp_path / "archive")


@pytest.mark.parametrize(
    "bomb",
    [b"[" * (64 << 20), b"[" * 100_000, b'{"files":[' + b"[]," * 5_000_000, b'{"a":"' + b"x" * (300 << 20)],
    ids=["nested", "deep", "long", "large"],
)
def test_a_bomb_in_the_index_is_refused(tmp_path, bomb):
    """An index that is far larger than any environment's, or that no reader of JSON survives, is refused."""
    packed = zlib.compress(bomb, 1)
    (tmp_path / "archive").write_bytes(MAGIC + packed + len(packed).to_bytes(8, "big"))
    with pytest.raises(IntegrityError):
        read_contents(tmp_path / "archive")


def test_a_bomb_in_a_block_writes_no_more_than_it_says(tmp_path):
    """A block that unpacks to a gigabyte is refused at its first byte too much, and leaves no such file."""
    stream = zlib.compressobj()
    block = b"".join(stream.compress(bytes(16 << 20)) for _ in range(16)) + stream.flush()
    data = archive_of({"files": [["a", 10, 0]], "blocks": [len(block)]}, [block])
    (tmp_path / "archive").write_bytes(data)
    into = tmp_path / "tree"
    into.mkdir()
    with pytest.raises(IntegrityError):
        unpack_archive(tmp_path / "archive", read_contents(tmp_path / "archive"), into)
    assert sum(p.stat().st_size for p in into.rglob("*")) <= 10

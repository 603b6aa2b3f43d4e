"""The book of commits: one file, many writers, and what is torn damages only itself."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow.errors import StoreError
from pyflow.store import open_blobs
from pyflow.store.book import Book, decode_line, encode_line

BOOK = "v1/demo/runs/ann/r1/commits"


def book_at(path) -> Book:
    return Book(str(path), lambda: None)


def slots_of(path) -> dict[str, bytes]:
    book = book_at(path)
    return {slot: book.committed(slot) for slot in book.slots()}


def test_a_line_comes_back():
    """A line gives back slot and record; any change to it gives nothing."""
    line = encode_line("12.0", b'{"a":\t1}').strip(b"\n")
    assert decode_line(line) == ("12.0", b'{"a":\t1}')
    for position in range(len(line)):
        changed = line[:position] + bytes([line[position] ^ 1]) + line[position + 1 :]
        assert decode_line(changed) is None
        assert decode_line(line[:position]) is None


@pytest.mark.parametrize("cut", range(1, len(encode_line("1", b"torn record"))))
def test_a_torn_record_damages_only_itself(tmp_path, cut):
    """Wherever a writer died in its record, all before and after it is read, and twins still agree."""
    path = tmp_path / "log"
    torn = encode_line("1", b"torn record")[:cut]
    path.write_bytes(encode_line("0", b"before") + torn)
    first, second = book_at(path), book_at(path)
    assert first.committed("1") is None
    told = first.commit("1", b"new"), second.commit("1", b"newer")
    assert told[0] == told[1]
    # A record that lacks nothing but its last newline counts as soon as something follows it.
    assert told[0] == (b"torn record" if cut == len(encode_line("1", b"torn record")) - 1 else b"new")
    assert first.commit("2", b"after") == b"after"
    assert slots_of(path) == {"0": b"before", "1": told[0], "2": b"after"}


@pytest.mark.parametrize(
    "damage", [b"garbage", b"\0" * 100, b"1\tzzzzzzzz\tx", b"1\t00000000\tx", b"\t\t", b"1", b"\xff\t00000000\t", b"\r"]
)
def test_damage_is_counted_and_skipped(tmp_path, damage):
    """What is no record is skipped, and told with its place to whoever verifies the store."""
    store = open_blobs(tmp_path / "store")
    store.commit(BOOK, "0", b"before")
    path = tmp_path / "store" / BOOK / "log"
    start = path.stat().st_size
    with path.open("ab") as file:
        file.write(damage)
    assert list(store.damaged(BOOK)) == []  # its writer may still be at it
    store.commit(BOOK, "1", b"after")
    assert dict(store.commits(BOOK)) == {"0": b"before", "1": b"after"}
    assert list(store.damaged(BOOK)) == [f"{BOOK}/log, byte {start}"]
    assert list(open_blobs(store.url).damaged(BOOK)) == [f"{BOOK}/log, byte {start}"]


def test_a_flipped_bit_does_not_pass(tmp_path):
    """A record whose bytes were changed no longer counts."""
    store = open_blobs(tmp_path / "store")
    for slot in ("0", "1", "2"):
        store.commit(BOOK, slot, b"record %s" % slot.encode())
    path = tmp_path / "store" / BOOK / "log"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"record 1", b"record 7"))
    again = open_blobs(store.url)
    assert dict(again.commits(BOOK)) == {"0": b"record 0", "2": b"record 2"}
    assert len(again.damaged(BOOK)) == 1


def test_records_beyond_a_block_are_read(tmp_path):
    """Records larger than what is read at once, and many small ones between them, are all found."""
    path = tmp_path / "log"
    records = {str(slot): bytes([97 + slot % 26]) * (3_000_000 if slot % 50 == 7 else slot) for slot in range(200)}
    with path.open("wb") as file:
        for slot, record in records.items():
            file.write(encode_line(slot, record))
    assert slots_of(path) == records
    assert all(book_at(path).committed(slot) == record for slot, record in records.items())


PIECES = st.one_of(
    st.builds(encode_line, st.sampled_from(["1", "1.0", "11", "2"]), st.sampled_from([b"good", b"bad", b"other"])),
    st.sampled_from(
        [b"\n", b"1\t", b"\n1\t", b"\n1.0\tgarbage\n", b"1.0\t00000000\tx\n", encode_line("1", b"torn")[:-3]]
    ),
)


@given(st.lists(PIECES, max_size=12))
def test_one_record_is_found_as_by_the_index(tmp_path_factory, pieces):
    """Who wants one record of a book gets what an index of all would give, whatever lies around it."""
    path = tmp_path_factory.mktemp("book") / "log"
    path.write_bytes(b"".join(pieces))
    indexed = book_at(path)
    indexed.slots()

    def accepts(_slot: str, record: bytes) -> bool:
        return record != b"bad"

    for slot in ("1", "1.0", "11", "2", "3"):
        assert book_at(path).committed(slot, accepts) == indexed.committed(slot, accepts)


def test_only_what_is_new_is_read(tmp_path):
    """A book that is asked again reads on from where it was, also what others wrote."""
    path = tmp_path / "log"
    mine, other = book_at(path), book_at(path)
    for slot in range(100):
        assert mine.commit(f"{slot}", b"mine") == b"mine"
        assert other.commit(f"{slot}", b"other") == b"mine"
        assert other.commit(f"{slot}.0", b"other") == b"other"
        assert mine.committed(f"{slot}.0") == b"other"
    # A loser that did not know the winner yet has appended its record in vain; one that did has not.
    assert path.read_bytes().count(b"\tother\n") == 200
    for slot in range(100):
        other.commit(f"{slot}", b"again")
    assert b"again" not in path.read_bytes()


def test_a_book_that_loses_bytes_says_so(tmp_path):
    """When another program cuts the file, a commit fails in words instead of answering with anything."""
    path = tmp_path / "log"
    book = book_at(path)
    book.commit("1", b"x" * 100)
    os.truncate(path, 0)
    with pytest.raises(StoreError, match="another program changed the file"):
        book.commit("2", b"y")

"""Signatures: what is believed, and what is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow.errors import IntegrityError
from pyflow.store import ContentStore, Keys, Trust, about, open_blobs

BODY = b'{"a":1,"b":"text"}'
HERE = about("commit", "r1", "d1", "7")


@pytest.fixture
def key_file(tmp_path):
    """A key file with one key; writing another name makes another file."""

    def write(name: str, *keys: str) -> str:
        file = tmp_path / name
        file.write_text("\n".join(keys))
        return str(file)

    return write


@pytest.fixture
def trust(key_file) -> Trust:
    return Trust(key_file("mine", "11" * 32))


def test_what_was_sealed_is_opened(trust):
    """A record is its body with a signature at the end: JSON that anybody can read, and the body comes back as it was."""
    record = trust.seal(HERE, BODY)
    assert json.loads(record).keys() == {"a", "b", "sig"}
    assert trust.opened(HERE, record) == BODY
    assert trust.objection(HERE, record) == ""


def test_any_change_is_noticed(trust):
    """No bit of a record can be changed, and no byte taken or added."""
    record = trust.seal(HERE, BODY)
    for at in range(len(record)):
        for bit in range(8):
            changed = record[:at] + bytes([record[at] ^ 1 << bit]) + record[at + 1 :]
            assert trust.opened(HERE, changed) is None, changed
        assert trust.opened(HERE, record[:at]) is None
        assert trust.opened(HERE, record[:at] + b" " + record[at:]) is None


@pytest.mark.parametrize("elsewhere", [("run", "r1", "d1", "7"), ("commit", "r2", "d1", "7"), ("commit", "r1", "d2", "7"), ("commit", "r1", "d1", "8"), ("commit", "r1", "d17", "")])  # fmt: skip
def test_a_record_fits_in_one_place_alone(trust, elsewhere):
    """A true record of another kind, run, program or slot is not believed here."""
    record = trust.seal(about(*elsewhere), BODY)
    assert trust.opened(HERE, record) is None
    assert "another run, task or program" in trust.objection(HERE, record)


def test_the_first_key_signs_and_all_are_believed(key_file):
    """A key can be replaced, and another person's be added, by a line in the file."""
    old, new = Trust(key_file("old", "11" * 32)), Trust(key_file("new", "22" * 32, "11" * 32))
    assert new.opened(HERE, old.seal(HERE, BODY)) == BODY
    record = new.seal(HERE, BODY)
    assert old.opened(HERE, record) is None
    assert new.keys[0].id in old.objection(HERE, record)
    assert old.keys[0].id in old.objection(HERE, record)


def test_what_is_not_signed_is_believed_where_the_store_is_trusted(trust, key_file, monkeypatch):
    """A site may say that nobody else can write to its store; then records from before signing count, too."""
    assert trust.opened(HERE, BODY) is None
    assert "not signed" in trust.objection(HERE, BODY)
    site = Trust(key_file("site", "33" * 32), trusts_store=True)
    assert site.opened(HERE, BODY) == BODY
    assert site.opened(HERE, trust.seal(HERE, BODY)) == BODY
    for text, expected in (("1", True), ("true", True), ("0", False), ("", False)):
        monkeypatch.setenv("PYFLOW_TRUST_STORE", text)
        assert Trust().trusts_store is expected


def test_a_part_of_a_record_is_sealed_alone(trust):
    """An error's pickle stands in events, which are not signed, so it brings its own signature."""
    sealed = trust.seal_json(HERE, {"kind": "pickle", "inline": "AAAA"})
    assert trust.opened_json(HERE, sealed) == {"kind": "pickle", "inline": "AAAA"}
    assert trust.opened_json(HERE, {**sealed, "inline": "BBBB"}) is None
    assert trust.opened_json(HERE, {"kind": "pickle", "inline": "AAAA"}) is None
    assert trust.opened_json(about("error", "r2"), sealed) is None


@given(st.binary(max_size=200))
def test_random_bytes_are_not_believed(tmp_path_factory, record):
    """Whatever the bytes are, the answer is no, and never an error."""
    file = tmp_path_factory.mktemp("keys") / "key"
    file.write_text("11" * 32)
    trust = Trust(str(file))
    assert trust.opened(HERE, record) is None
    assert trust.objection(HERE, record)


@pytest.mark.parametrize("place", ["folder", "memory://forged"])
def test_a_forged_commit_keeps_no_slot(trust, key_file, tmp_path, place):
    """What somebody without the key wrote before the task ran neither holds nor stands in the way of the true result."""
    url = str(tmp_path / "store") if place == "folder" else place
    mine = ContentStore(open_blobs(url), Keys("p", "o"), trust).commits("r1", "d1")
    stranger = ContentStore(open_blobs(url), Keys("p", "o"), Trust(key_file("other", "99" * 32))).commits("r1", "d1")
    assert stranger.commit("7", b'{"x":0}') == b'{"x":0}'
    open_blobs(url).commit(mine.book, "7.0", b'{"x":0}')
    assert (mine.committed("7"), mine.committed("7.0")) == (None, None)
    with pytest.raises(IntegrityError, match=r"'fit' in run r1 \(v1/p/runs/o/r1/commits, slot 7\).*key"):
        mine.check_missing("7", "'fit'")
    assert mine.commit("7", BODY) == BODY
    assert mine.commit("7.0", BODY) == BODY
    assert mine.commit("7", b'{"late":1}') == BODY
    assert dict(mine.all()) == {"7": BODY, "7.0": BODY}
    assert stranger.committed("7") == b'{"x":0}'

"""Secrets in what is printed are hidden, in each spelling and however the pieces fall."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow.secrecy import Masker

VALUE = 'pass "wörd"/+&=%\n\\end'
SPELLINGS = {
    "raw": VALUE.encode(),
    "base64": base64.b64encode(VALUE.encode()),
    "base64 for URLs": base64.urlsafe_b64encode(VALUE.encode()),
    "base64 of something longer, 1": base64.b64encode(b"u:" + VALUE.encode() + b"@host"),
    "base64 of something longer, 2": base64.b64encode(b"use:" + VALUE.encode() + b"@host"),
    "base64 of something longer, 3": base64.b64encode(b"us:" + VALUE.encode()),
    "url": quote(VALUE).encode(),
    "url, all": quote(VALUE, safe="").encode(),
    "url, form": quote_plus(VALUE).encode(),
    "url, small": quote(VALUE, safe="").lower().encode().replace(b"%5c", b"%5c"),
    "json": json.dumps(VALUE)[1:-1].encode(),
    "json, not ascii": json.dumps(VALUE, ensure_ascii=False)[1:-1].encode(),
}


@pytest.mark.parametrize("how", SPELLINGS)
def test_every_spelling_is_hidden(how):
    """As it is, in base64 alone or inside of something longer, in URLs and in JSON; the length stays."""
    line = b"before " + SPELLINGS[how] + b" behind"
    hidden = Masker([VALUE]).hide(line)
    assert len(hidden) == len(line)
    assert hidden.startswith(b"before ")
    assert hidden.endswith(b" behind")
    assert b"*" * (len(SPELLINGS[how]) - 16) in hidden
    if "longer" not in how:
        assert hidden == b"before " + b"*" * len(SPELLINGS[how]) + b" behind"


def test_short_values_are_left_as_they_are():
    """Five characters stand anywhere."""
    assert Masker(["short"]).hide(b"a short line") == b"a short line"
    assert Masker(["longer"]).hide(b"a longer line") == b"a ****** line"


def test_of_two_that_begin_alike_the_longer_one_is_hidden():
    """Nothing of it is left behind the shorter one, also when the piece ends there."""
    masker = Masker(["secret", "secret-extended"])
    assert masker.hide(b"a secret-extended b") == b"a *************** b"
    assert masker.ready(b"a secret") == 2
    assert masker.ready(b"a secret b") == 10


def test_more_can_be_learnt():
    """What is learnt later is hidden from then on."""
    masker = Masker()
    assert masker.hide(b"value one") == b"value one"
    masker.learn(["value one"])
    masker.learn(["value two", "value one"])
    assert masker.hide_text("value one, value two") == "*********, *********"


def shown_in_pieces(masker: Masker, pieces: list[bytes]) -> bytes:
    """What a reader sees, when pieces come one after the other, as ``Spool`` ships them."""
    shown, waiting = b"", b""
    for piece in pieces:
        waiting += piece
        ready = masker.ready(waiting)
        shown, waiting = shown + masker.hide(waiting[:ready]), waiting[ready:]
    return shown + masker.hide(waiting)


@given(
    st.lists(st.text("abcs", min_size=6, max_size=12), min_size=1, max_size=3),
    st.lists(st.one_of(st.integers(0, 2), st.text("abcs \n", max_size=9)), max_size=12),
    st.lists(st.integers(1, 7), max_size=60),
)
def test_pieces_show_what_the_whole_does(values, parts, cuts):
    """However the stream is cut, each value is hidden, and all else is shown."""
    text = "".join(values[part % len(values)] if isinstance(part, int) else part for part in parts).encode()
    masker = Masker(values)
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(text[at : at + cut])
        at += cut
    pieces.append(text[at:])
    shown = shown_in_pieces(masker, pieces)
    assert len(shown) == len(text)
    assert not any(value.encode() in shown for value in values)
    assert all(a in (b, ord("*")) for a, b in zip(shown, text, strict=True))


def test_every_cut_hides_the_same():
    """A value that comes in two pieces is hidden wherever the cut is."""
    text = b"one s3cr3t-value two s3cr3t-val three"
    for cut in range(len(text) + 1):
        shown = shown_in_pieces(Masker(["s3cr3t-value"]), [text[:cut], text[cut:]])
        assert shown == b"one ************ two s3cr3t-val three"

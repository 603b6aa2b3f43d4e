"""All that pyflow writes down is JSON of one form."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow.jsontext import dump

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": [1, 2.5], "a": None}, '{"b":[1,2.5],"a":null}'),
        (["é", "\n", "\U0001f600"], r'["\u00e9","\n","\ud83d\ude00"]'),
        ([], "[]"),
        (10**30, "1" + "0" * 30),
    ],
)
def test_it_is_compact_and_in_the_given_order(value, text):
    """There are no spaces, names keep their order, and whatever is not ASCII is escaped."""
    assert dump(value) == text


@given(VALUES)
def test_a_reader_gets_the_same_value(value):
    """One line of ASCII, which any JSON parser turns into the same value."""
    text = dump(value)
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == value


@given(st.characters(categories=["Cs"]))
def test_half_of_a_character_survives(half):
    """A lone surrogate, as file names that are not UTF-8 have them, is written as what it is."""
    assert json.loads(dump(half)) == half


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), [1j]])
def test_what_json_cannot_hold_is_refused(value):
    """Nothing is written as something else in silence."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        dump(value)

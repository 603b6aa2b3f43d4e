"""Values as text, as JSON, and as files."""

from __future__ import annotations

import datetime as dt
import enum
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest

from pyflow.cli.readable import readable, to_json, write_to


class Colour(enum.Enum):
    RED = "r"


@dataclass
class Point:
    x: int
    y: float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\n\x1b[31mb", "a\nb"),
        (Path("a/b"), "a/b"),
        (3, "3"),
        ({"b": 1, "a": [1, 2]}, "{'b': 1, 'a': [1, 2]}"),
        (b"x" * 2000, repr(b"x" * 1000) + "… (2,000 bytes)"),
    ],
)
def test_readable(value, text):
    """Text is shown as it is without what a terminal would obey, paths as paths, the rest as Python does."""
    assert readable(value) == text


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (float("nan"), None),
        ((1, {2}), [1, [2]]),
        ({1: "a", Colour.RED: Colour.RED, None: 1}, {"1": "a", "r": "r", "null": 1}),
        (Point(1, 2.0), {"x": 1, "y": 2.0}),
        (np.arange(3), [0, 1, 2]),
        (np.float32(0.5), 0.5),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (dt.date(2026, 1, 31), "2026-01-31"),
        (dt.timedelta(minutes=1), 60.0),
        (Path("a"), "a"),
    ],
)
def test_json(value, wire):
    """Values become JSON where it has a word for them."""
    assert json.loads(to_json(value)) == wire


@pytest.mark.parametrize(
    ("value", "said"),
    [({"a": [1, object()]}, "the result['a'][1] is of type object"), ({(1, 2): 3}, "the result has the key (1, 2)")],
)
def test_what_json_has_no_word_for(value, said):
    """The part that cannot be JSON is named."""
    with pytest.raises(
        click.ClickException, match="^" + said.replace("[", r"\[").replace("(", r"\(").replace(")", r"\)")
    ):
        to_json(value)


def test_files():
    """Values are written as the name of the file says; files and folders are copied."""
    Path("made").mkdir()
    Path("made/a.txt").write_text("a")
    write_to(Path("made/a.txt"), Path("copy.txt"))
    write_to(Path("made"), Path("copy"))
    write_to(Path("made/a.txt"), Path("copy/inner.txt"))
    write_to(np.arange(3), Path("x.npy"))
    write_to(np.arange(3), Path("x.csv"))
    write_to(pd.DataFrame({"a": [1]}), Path("f.csv"))
    write_to({"a": 1}, Path("d.json"))
    write_to({1, 2}, Path("s.pkl"))
    write_to("text", Path("t.txt"))
    write_to(b"bytes", Path("b"))
    assert Path("copy.txt").read_text() == Path("copy/a.txt").read_text() == "a"
    assert np.load("x.npy").tolist() == [0, 1, 2]
    assert Path("x.csv").read_text() == "0\n1\n2\n"
    assert Path("f.csv").read_text() == "a\n1\n"
    assert json.loads(Path("d.json").read_text()) == {"a": 1}
    assert pickle.loads(Path("s.pkl").read_bytes()) == {1, 2}
    assert (Path("t.txt").read_text(), Path("b").read_bytes()) == ("text", b"bytes")


def test_nothing_is_written_over():
    """A file that exists stays as it is; a name that says nothing of how to write is refused."""
    Path("there.txt").write_text("mine")
    with pytest.raises(click.ClickException, match=r"'there\.txt' exists already"):
        write_to("x", Path("there.txt"))
    with pytest.raises(click.ClickException, match="There is no folder"):
        write_to("x", Path("no/such/x.txt"))
    with pytest.raises(click.ClickException, match=r"End the name in .json or .pkl"):
        write_to({1: 2}, Path("x.txt"))
    assert Path("there.txt").read_text() == "mine"

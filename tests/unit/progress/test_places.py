"""Where a run is shown, and where not."""

from __future__ import annotations

import io
import os
import sys

import pytest

from pyflow.progress import Outlet, choose, look_around
from pyflow.progress.places import Surroundings

TERMINAL = Surroundings(is_terminal=True)
NOTEBOOK = Surroundings(is_notebook=True)
NOBODY = Surroundings()


@pytest.mark.parametrize(
    ("around", "how", "place"),
    [
        (TERMINAL, {"is_wanted": None}, "live"),
        (TERMINAL, {"is_wanted": False}, None),
        (TERMINAL, {"is_wanted": None, "prints_here": True}, "lines"),
        (TERMINAL, {"is_wanted": None, "is_aside": True}, None),
        (TERMINAL, {"is_wanted": True, "is_aside": True}, "lines"),
        (NOTEBOOK, {"is_wanted": None}, "notebook"),
        (NOTEBOOK, {"is_wanted": None, "is_aside": True, "prints_here": True}, "notebook"),
        (NOTEBOOK, {"is_wanted": False}, None),
        (NOBODY, {"is_wanted": None}, None),
        (NOBODY, {"is_wanted": True}, "lines"),
    ],
)
def test_choice(around, how, place):
    """A live table where nothing else writes, lines where it does or where they are asked for, else nothing."""
    assert choose(around, **how) == place


def test_a_pipe_is_no_terminal(monkeypatch):
    """Standard error that goes elsewhere, or is missing, is no place to draw."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not look_around().is_terminal
    monkeypatch.setattr(sys, "stderr", None)
    assert not look_around().is_terminal


def test_a_real_terminal(monkeypatch):
    """A terminal is one, unless it cannot move its cursor; NO_COLOR leaves the colours out."""
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert look_around().is_terminal
        assert Outlet.of_standard_error().has_colour
        monkeypatch.setenv("NO_COLOR", "1")
        assert not Outlet.of_standard_error().has_colour
        monkeypatch.setenv("TERM", "dumb")
        assert not look_around().is_terminal
    os.close(leader)

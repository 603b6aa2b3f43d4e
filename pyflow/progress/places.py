"""Where a run may be shown: a terminal, a notebook, or a log that nobody watches."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Literal, TypeAlias

Place: TypeAlias = Literal["live", "lines", "notebook"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What this process can be seen through."""

    is_notebook: bool = False
    is_terminal: bool = False
    """Standard error is a terminal that can move its cursor."""


def look_around() -> Surroundings:
    """The surroundings of this process now."""
    return Surroundings(_is_notebook(), _is_terminal())


def choose(
    around: Surroundings, *, is_wanted: bool | None, is_aside: bool = False, prints_here: bool = False
) -> Place | None:
    """How to show a run; None: not at all.

    Args:
        around: Who may be looking.
        is_wanted: What the settings say; None: nothing.
        is_aside: The caller goes on meanwhile, and may print or ask things on the same terminal.
        prints_here: Tasks do.
    """
    if is_wanted is False:
        return None
    if around.is_notebook:
        return "notebook"
    if around.is_terminal and not is_aside:
        return "lines" if prints_here else "live"
    return "lines" if is_wanted else None


def _is_notebook() -> bool:
    """Whether this is the kernel of a notebook; nothing is imported to find out."""
    ipython = sys.modules.get("IPython")
    if ipython is None or "ipykernel" not in sys.modules:
        return False
    shell = ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def _is_terminal() -> bool:
    try:
        is_terminal = sys.stderr.isatty()
    except (AttributeError, ValueError):
        # There is no standard error, or it was closed.
        return False
    return is_terminal and os.environ.get("TERM", "") not in {"", "dumb"}

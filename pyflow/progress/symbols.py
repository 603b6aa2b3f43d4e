"""How each state looks: one sign and one colour everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pyflow.runs import Status

SYMBOL: Final[Mapping[Status, str]] = {
    "succeeded": "✓",
    "failed": "✗",
    "lost": "✗",
    "running": "●",
    "cancelled": "○",
    "skipped": "–",
    "pending": "·",
}

COLOUR: Final[Mapping[Status, str]] = {
    "succeeded": "green",
    "failed": "red",
    "lost": "red",
    "running": "cyan",
    "cancelled": "yellow",
    "skipped": "bright_black",
    "pending": "bright_black",
}

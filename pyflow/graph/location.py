"""Where something stands that a message is about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A place in the user's files."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

"""The algebra behind ``steps()`` and ``parallel()``: what the next call waits for, and what a group ends with.

A frame is one open block. In a block of steps each member waits for the one before; in a block that
runs side by side each waits for what came before the block. Blocks lie inside each other: to the block
around, a closed block is one member.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Member(Protocol):
    """A call, seen as a part of a block."""

    id: int
    needs: set[int]


class Frame:
    """One open block of calls."""

    __slots__ = ("_entry", "_ids", "_members", "is_steps", "waits")

    def __init__(self, entry: tuple[Member, ...] = (), *, is_steps: bool = False) -> None:
        self.is_steps = is_steps
        self.waits = entry
        """What the next member must wait for."""
        self._entry = entry
        self._members: list[Member] = []
        self._ids: set[int] = set()

    def add(self, member: Member) -> None:
        """Count a call as the next member."""
        if self.is_steps:
            self.waits = (member,)
        else:
            self._members.append(member)
            self._ids.add(member.id)

    def add_block(self, exits: tuple[Member, ...]) -> None:
        """Count a block that was closed as the next member."""
        if self.is_steps:
            self.waits = exits or self.waits
        else:
            for member in exits:
                self.add(member)

    def covers(self, needs: Iterable[int]) -> bool:
        """Whether a call that needs these results waits for all that came before the block anyway."""
        return not self._ids.isdisjoint(needs)

    def exits(self) -> tuple[Member, ...]:
        """What has to end for the block to have ended; nothing when nothing was called in it."""
        if self.is_steps:
            return () if self.waits is self._entry else self.waits
        inner = set().union(*(member.needs for member in self._members)) if self._members else set()
        return tuple(member for member in self._members if member.id not in inner)

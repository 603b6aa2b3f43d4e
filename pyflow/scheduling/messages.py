"""What a scheduler is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from pyflow.contract import slot_of
from pyflow.jsontext import Json
from pyflow.packed import PackedNode

Indices: TypeAlias = tuple[int, ...]


class Slot(NamedTuple):
    """One node at one index vector."""

    node: PackedNode
    indices: Indices = ()

    def __str__(self) -> str:
        return slot_of(self.node.id, self.indices)


class Ended(NamedTuple):
    """Event: an attempt at a slot has ended."""

    slot: str
    is_success: bool
    is_retryable: bool = False
    facts: tuple[Json, ...] = ()


class Recalled(NamedTuple):
    """Event: a slot that was started in advance has not begun, and will not."""

    slot: str


class Due(NamedTuple):
    """Event: the pause before another attempt is over."""

    slot: str


class CancelRequested:
    """Event: somebody asked the run to end."""


class Advance(NamedTuple):
    """Event: from now on this many tasks may start beyond the capacity, to wait for whoever is free first."""

    tasks: int


Event: TypeAlias = "Ended | Recalled | Due | CancelRequested | Advance"


class Start(NamedTuple):
    """Command: run these slots one after the other in one worker. The attempt is counted from 1.

    They are items of one node, each for itself; or a chain of several nodes, each of which needs the one before it:
    a chain is over with its first failure, and nothing is to be told of the slots behind that.
    """

    slots: tuple[Slot, ...]
    attempts: tuple[int, ...]
    in_advance: bool = False
    """There is no room for it yet."""


class Pause(NamedTuple):
    """Command: tell ``Due`` of this slot after so many seconds."""

    slot: Slot
    seconds: float


class Skip(NamedTuple):
    """Command: note that this slot will not run, because its branch was not taken."""

    slot: Slot


class Expand(NamedTuple):
    """Command: note how many items a map has."""

    slot: Slot
    items: int


class Fail(NamedTuple):
    """Command: note that a slot cannot be, though no worker failed."""

    slot: Slot
    reason: str


class Finish(NamedTuple):
    """Command: nothing runs any more, and nothing will. Comes once, last."""

    is_success: bool


Command: TypeAlias = "Start | Pause | Skip | Expand | Fail | Finish"


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the place has for tasks to share."""

    cpus: float
    memory_mib: float = float("inf")
    tasks: float = float("inf")
    """How many may run at once."""

"""What a scheduler is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pyflow.contract import slot_of
from pyflow.jsontext import Json
from pyflow.packed import PackedNode

Indices: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """One node at one index vector."""

    node: PackedNode
    indices: Indices = ()

    def __str__(self) -> str:
        return slot_of(self.node.id, self.indices)


@dataclass(frozen=True, slots=True)
class Ended:
    """Event: an attempt at a slot has ended."""

    slot: str
    is_success: bool
    is_retryable: bool = False
    facts: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Recalled:
    """Event: a slot that was started in advance has not begun, and will not."""

    slot: str


@dataclass(frozen=True, slots=True)
class Due:
    """Event: the pause before another attempt is over."""

    slot: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Event: somebody asked the run to end."""


@dataclass(frozen=True, slots=True)
class Advance:
    """Event: from now on this many tasks may start beyond the capacity, to wait for whoever is free first."""

    tasks: int


Event: TypeAlias = "Ended | Recalled | Due | CancelRequested | Advance"


@dataclass(frozen=True, slots=True)
class Start:
    """Command: run these slots one after the other in one worker. The attempt is counted from 1.

    They are items of one node, each for itself; or a chain of several nodes, each of which needs the one before it:
    a chain is over with its first failure, and nothing is to be told of the slots behind that.
    """

    slots: tuple[Slot, ...]
    attempts: tuple[int, ...]
    in_advance: bool = False
    """There is no room for it yet."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Command: tell ``Due`` of this slot after so many seconds."""

    slot: Slot
    seconds: float


@dataclass(frozen=True, slots=True)
class Skip:
    """Command: note that this slot will not run, because its branch was not taken."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Expand:
    """Command: note how many items a map has."""

    slot: Slot
    count: int


@dataclass(frozen=True, slots=True)
class Fail:
    """Command: note that a slot cannot be, though no worker failed."""

    slot: Slot
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
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

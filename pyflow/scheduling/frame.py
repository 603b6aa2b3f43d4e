"""One instance of a plan: how far its steps are."""

from __future__ import annotations

from enum import IntEnum

from pyflow.jsontext import Json
from pyflow.scheduling.messages import Indices
from pyflow.scheduling.plan import Plan


class State(IntEnum):
    """How far a step is. From ``SUCCEEDED`` on it has ended."""

    WAITING = 0
    UNDER_WAY = 1
    SUCCEEDED = 2
    SKIPPED = 3
    CANCELLED = 4
    FAILED = 5


class Frame:
    """The steps of one plan at one index vector: the body of the pipeline, or one item of a map."""

    __slots__ = (
        "attempts",
        "facts",
        "gates",
        "indices",
        "is_spoilt",
        "maps",
        "open",
        "parent",
        "plan",
        "sides",
        "states",
        "waiting",
    )

    def __init__(self, plan: Plan, indices: Indices, parent: MapState | None) -> None:
        self.plan = plan
        self.indices = indices
        self.parent = parent
        self.states = bytearray(len(plan.steps))
        self.waiting = plan.waiting.copy()
        self.open = len(plan.steps)
        self.gates = 1
        """Things outside that must happen before any step starts; one is the opening itself."""
        self.is_spoilt = False
        """An item this one is made from does not exist."""
        self.attempts: dict[int, int] = {}
        self.facts: dict[int, tuple[Json, ...]] = {}
        self.sides: dict[int, bool] = {}
        self.maps: dict[int, MapState] = {}

    @property
    def has_succeeded(self) -> bool:
        """Whether all steps have ended and none was missed."""
        return self.open == 0 and max(self.states, default=0) <= State.SKIPPED


class MapState:
    """A map that has been expanded: one frame for each item."""

    __slots__ = ("batch", "end_step", "frame", "frames", "open", "ready", "waiters")

    def __init__(self, frame: Frame, end_step: int, batch: int) -> None:
        self.frame = frame
        """The frame that the map is a step of."""
        self.end_step = end_step
        self.batch = batch
        self.frames: list[Frame] = []
        self.open = 0
        self.waiters: list[MapState] = []
        """Maps that take the items of this one in turn."""
        self.ready: dict[int, list[tuple[Frame, int]]] = {}
        """For maps that run in batches: the steps of each batch that wait for the others."""

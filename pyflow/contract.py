"""What crosses the wall between the one who asks for a task to run and the place where it runs.

An ``Invocation`` says which node of which packed graph to run for which run, in ids only; an
``Outcome`` says what came of it. Both are plain JSON, so that the wall may be a pipe, a container or a
cluster. Nothing of the caller's memory crosses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pyflow.errors import EnvironmentMismatchError
from pyflow.jsontext import EMPTY_ARRAY, Json, dump, parse, parse_start

T = TypeVar("T")

OUTCOME_VERSION: Final = 1


class ExitCode(IntEnum):
    """How a worker ended, one table for every executor.

    64, 65, 126 to 128, 137 and 143 are taken by Argo, shells and signals.
    """

    COMMITTED = 0
    TASK_RAISED = 70
    """May be tried again."""
    TASK_RAISED_FOR_GOOD = 71
    """Not to be tried again: the error is not one of ``retry_on``."""
    INTEGRITY = 72
    ENVIRONMENT = 73
    STORE_UNAVAILABLE = 74
    CANCELLED = 75
    TIMEOUT = 124


RETRYABLE: Final = frozenset({ExitCode.TASK_RAISED, ExitCode.STORE_UNAVAILABLE, ExitCode.TIMEOUT})


class Home(NamedTuple):
    """Where a run keeps everything: a store, and whose part of it."""

    store_url: str
    project: str
    owner: str
    key_file: str = ""
    """With which keys records are signed and checked on this machine; empty: as the environment there says."""
    trusts_store: bool | None = None
    """Whether all that is found there is believed; None: as the environment there says."""
    secrets: str = ""
    """The folder in which secrets are looked up on this machine."""
    allow_secrets: str = ""
    """Variables that look secret and whose values may be stored, separated by commas."""

    def to_wire(self) -> dict[str, Json]:
        """The part that holds on every machine, for workers in containers and pods. Keys and secrets are mounted there."""
        wire: dict[str, Json] = {"store": self.store_url, "project": self.project, "owner": self.owner}
        return {**wire, "allow": self.allow_secrets} if self.allow_secrets else wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Json]) -> Home:
        """What ``to_wire`` gave.

        Raises:
            KeyError: Something is missing.
        """
        return cls(
            store_url=str(wire["store"]),
            project=str(wire["project"]),
            owner=str(wire["owner"]),
            allow_secrets=str(wire.get("allow", "")),
        )


class _Kept(Generic[T]):
    """A property that is made once: a small task asks a dozen times. ``functools.cached_property`` takes a lock until Python 3.12."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __get__(self, instance: object, owner: type) -> T:
        # What lies in the instance itself comes before this the next time.
        value = instance.__dict__[self._make.__name__] = self._make(instance)
        return value


class _InvocationFields(NamedTuple):
    home: Home
    run_id: str
    graph_digest: str
    graph_size: int
    node: int
    indices: tuple[int, ...] = ()
    attempt: int = 1
    nonce: str = ""
    """Tells two attempts with one number apart."""


class Invocation(_InvocationFields):
    """All that a worker needs to run one node, at one index of each map around it."""

    @_Kept
    def slot(self) -> str:
        """The name of what is to be committed, unique in the run."""
        return slot_of(self.node, self.indices)


def slot_of(node: int, indices: tuple[int, ...]) -> str:
    """``12`` for a node outside of maps, ``12.3.0`` inside two: node and index vector as one word."""
    if len(indices) == 1:  # by far the most common, and then a third of the cost
        return f"{node}.{indices[0]}"
    return ".".join(map(str, (node, *indices))) if indices else str(node)


def parse_slot(slot: str) -> tuple[int, tuple[int, ...]]:
    """Node and index vector of a slot."""
    node, *indices = map(int, slot.split("."))
    return node, tuple(indices)


def is_chain(invocations: Sequence[Invocation]) -> bool:
    """Whether each of these needs the one before it; those of one node are items of a map, each for itself."""
    return len(invocations) > 1 and invocations[0].node != invocations[1].node


class LogSpan(NamedTuple):
    """Which part of which log an attempt printed."""

    writer: str
    start: int
    end: int


class ErrorRecord(NamedTuple):
    """An error as text first, so that it can be read whether or not it can be rebuilt."""

    type: str
    """Qualified name of the class, with its module unless that is ``builtins``."""
    message: str
    traceback: str
    """The user's frames and the error, as Python prints them."""
    frames: list[Json] = EMPTY_ARRAY
    """``[file, line, function]`` for each of the user's frames, from the outside in; since Python 3.11 with the end of the
    expression behind it, ``[…, end line, column, end column]``, as ``codeobject.co_positions`` counts them."""
    pickled: Json = None
    """Artifact of the exception; None when it cannot be pickled."""
    cause: Json = None
    """The record, in its wire form, of the error that this one was raised ``from``."""
    context: Json = None
    """The record of the error that was being handled when this one was raised, unless that is to be left out."""

    def to_wire(self) -> dict[str, Json]:
        """Plain JSON; ``ErrorRecord(**wire)`` reads it."""
        wire = {
            "type": self.type,
            "message": self.message,
            "traceback": self.traceback,
            "frames": self.frames,
            "pickled": self.pickled,
        }
        linked = {"cause": self.cause, "context": self.context}
        return wire | {how: other for how, other in linked.items() if other is not None}


class _OutcomeFields(NamedTuple):
    slot: str
    attempt: int
    nonce: str
    exit_code: int
    started_at: float
    """Seconds since 1970, UTC."""
    duration_s: float
    """By a clock that never goes back."""
    result: Json = None
    """Artifact of the return value, when there is one."""
    facts: list[Json] = EMPTY_ARRAY
    error: ErrorRecord | None = None
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    log: LogSpan | None = None
    preview: str = ""
    """What a listing may show of the result; made where the task ran, so that nobody else unpickles it."""
    fingerprint: str = ""
    """Of the code that ran."""
    environment: str = ""
    """Python minor and, where one was asked for, the digest of the packages."""


class Outcome(_OutcomeFields):
    """What came of one attempt at one slot."""

    @property
    def is_committed(self) -> bool:
        """Whether the attempt ended with a result."""
        return self.exit_code == ExitCode.COMMITTED

    def to_wire(self) -> dict[str, Json]:
        """Plain JSON; what has its default is left out."""
        wire: dict[str, Json] = {
            "v": OUTCOME_VERSION,
            "slot": self.slot,
            "attempt": self.attempt,
            "nonce": self.nonce,
            "exit_code": self.exit_code,
            "started_at": self.started_at,
            "duration_s": self.duration_s,
        }
        for name in _LEFT_OUT_WHEN_EMPTY:
            value = getattr(self, name)
            if value:
                wire[name] = value
        if self.error is not None:
            wire["error"] = self.error.to_wire()
        if self.log is not None:
            wire["log"] = [self.log.writer, self.log.start, self.log.end]
        return wire

    def to_bytes(self) -> bytes:
        """One line of JSON. It is made once: what is committed is also what is told."""
        return self._text

    @_Kept
    def _text(self) -> bytes:
        return dump(self.to_wire()).encode()

    @classmethod
    def from_wire(cls, wire: dict[str, Json]) -> Outcome:
        """What ``to_wire`` wrote.

        Raises:
            EnvironmentMismatchError: A newer pyflow wrote it.
        """
        wire = dict(wire)
        if wire.pop("v", None) != OUTCOME_VERSION:
            raise EnvironmentMismatchError(
                "An outcome has a format that this pyflow does not read. Use the version that made the run."
            )
        if "error" in wire:
            wire["error"] = ErrorRecord(**wire["error"])
        if "log" in wire:
            writer, start, end = wire["log"]
            wire["log"] = LogSpan(writer=writer, start=start, end=end)
        return cls(**wire)


def result_in(record: bytes) -> Json:
    """The result in a committed outcome, without the rest of it: a fan-in reads as many of these as it has inputs.

    In front of the result ``Outcome.to_wire`` writes nothing that the author of a task chooses, so the first mention of it
    is the member.

    Raises:
        KeyError: The record holds none.
        ValueError: It is not JSON.
    """
    _, found, rest = record.partition(_RESULT_MEMBER)
    if not found or not record.startswith(_OUTCOME_START):
        return parse(record)["result"]
    return parse_start(rest)


_OUTCOME_START: Final = b'{"v":%d,"slot":' % OUTCOME_VERSION
_RESULT_MEMBER: Final = b',"result":'

_LEFT_OUT_WHEN_EMPTY: Final = (
    "result",
    "facts",
    "cpu_s",
    "peak_memory_bytes",
    "preview",
    "fingerprint",
    "environment",
)

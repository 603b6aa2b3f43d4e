"""Where one task runs: the seam between the driver of a run and a place.

A launcher knows nothing of graphs, retries or order. It is told to start invocations, and tells how
each of them ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias

from pyflow.contract import Invocation, Outcome


class Finished(NamedTuple):
    """A place told what came of an invocation."""

    outcome: Outcome


class Lost(NamedTuple):
    """A place died before it told."""

    slot: str
    attempt: int
    reason: str
    """What ended it, with the likely cause."""
    is_timeout: bool = False
    is_out_of_memory: bool = False
    is_interrupt: bool = False
    """Somebody pressed Ctrl-C, and the place had to end it there and then."""
    log: tuple[str, int, int] | None = None
    """Writer, start and end of what it had printed."""


class Taken(NamedTuple):
    """A place has begun with an invocation, of which ``launch`` could not say so."""

    slot: str
    attempt: int
    worker: str


class Returned(NamedTuple):
    """A worker gives back an invocation of a chain that it has not begun with."""

    slot: str


Report: TypeAlias = "Finished | Lost | Taken | Returned"


class Launcher(Protocol):
    """A place where tasks run."""

    @property
    def in_advance(self) -> int:
        """How many invocations may be launched now beyond what can run at once; 0 where that would not help."""

    def launch(self, invocations: Sequence[Invocation], timeout_s: float | None, *, in_advance: bool) -> str | None:
        """Start these, one after the other, and answer the name of the worker that has them.

        Args:
            invocations: All of one run, and items of one node, or a chain: each of another node, which needs what the
                one before it makes (``is_chain``). A chain is over with its first failure, and ``wait`` reports
                ``Taken`` for each but the first when it begins. Only launchers with ``in_advance`` get chains.
            timeout_s: How long each of them may take.
            in_advance: All workers are busy, so these wait for the first one that is not. The answer is then
                None, and ``wait`` reports which worker has taken them. So it is where a place takes time to get ready.
        """

    def wait(self, timeout_s: float | None) -> list[Report]:
        """What has ended, as soon as something has; nothing when the time is up."""

    def recall(self) -> list[str]:
        """Forget what was launched in advance and has not begun; the answer are its slots.

        Of what a worker has at hand, ``wait`` reports with ``Returned`` what it gives back.
        """

    def end(self, slots: Sequence[str]) -> None:
        """End these: politely first, by force after a short time. ``wait`` reports them as lost."""

    def close(self) -> None:
        """End all that runs, at once, and leave nothing behind."""

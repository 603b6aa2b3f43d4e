"""One run of a body, what it has written down so far, and which trace is the active one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from pyflow.graph import Function, Location, OptionArgs, Options
from pyflow.tracing.cycles import refuse_cycle_into
from pyflow.tracing.drafts import Draft, Scope
from pyflow.tracing.names import Names

if TYPE_CHECKING:
    from pyflow.tracing.condition import Condition


class Trace:
    """One run of the body of a pipeline."""

    __slots__ = (
        "at", "conditions", "faults", "defaults", "drafts", "functions", "has_backward_edge", "is_open", "is_template", "name", "names",
        "options", "outer", "scope", "threads",
    )  # fmt: skip

    def __init__(self, name: str, at: Location, *, is_template: bool = False) -> None:
        self.name = name
        self.at = at
        self.is_template = is_template
        """Whether the parameters are placeholders, too."""
        self.is_open = True
        self.outer: Trace | None = None
        self.threads: frozenset[threading.Thread] = frozenset()
        self.names = Names()
        self.drafts: list[Draft] = []
        self.scope = Scope(self, "body", at)
        self.conditions: list[Condition] = []
        self.faults: list[str] = []
        """What went wrong in threads that the body started."""
        self.functions: dict[Function, Location] = {}
        """Functions that were called, and where first."""
        self.options: dict[tuple[object, int], Options] = {}
        """What a task's options come to below these defaults; a cache."""
        self.defaults: dict[tuple[int, int], tuple[OptionArgs, ...]] = {}
        """Defaults of pipelines inside each other; kept, since ``options`` knows them by their ids."""
        self.has_backward_edge = False
        """Whether a call was told to wait for a later one; without that, there is no cycle."""

    def defaults_below(self, outer: OptionArgs, inner: OptionArgs) -> OptionArgs:
        """The defaults in the body of a called pipeline: its own, and behind them those around it."""
        if not inner:
            return outer
        key = (id(outer), id(inner))
        if key not in self.defaults:
            self.defaults[key] = (cast("OptionArgs", merged(inner, outer)), outer, inner)
        return self.defaults[key][0]

    def record(self, draft: Draft, *, is_step: bool = True) -> None:
        """Give a new draft its place in the order of the calls.

        Raises:
            DefinitionError: It needs something that waits for the branch it is in. The draft is taken back.
        """
        if is_step:
            frame = draft.scope.frames[-1]
            if frame.waits and not frame.covers(draft.needs):
                draft.after.update(member.id for member in frame.waits if member.id not in draft.needs)
            frame.add(draft)
        if self.has_backward_edge and draft.scope.kind == "branch":
            try:
                refuse_cycle_into(draft)
            except BaseException:
                draft.scope.drafts.remove(draft)
                raise

    @contextmanager
    def inside(self, scope: Scope) -> Iterator[None]:
        """Trace what follows into this scope."""
        around = self.scope
        self.scope = scope
        try:
            yield
        finally:
            scope.is_open = False
            self.scope = around


class _Active(threading.local):
    trace: Trace | None = None
    has_traced = False
    """Whether this thread has run a body itself. It is then no helper that some other body started."""


active = _Active()
"""``active.trace`` is the trace that this thread is in."""

_open_traces: list[Trace] = []


@contextmanager
def activated(trace: Trace) -> Iterator[None]:
    """Make this the active trace of this thread, until the body has ended in whatever way."""
    trace.outer = active.trace
    trace.threads = frozenset(threading.enumerate())
    active.trace = trace
    active.has_traced = True
    _open_traces.append(trace)
    try:
        yield
    finally:
        trace.is_open = False
        trace.threads = frozenset()
        _open_traces.remove(trace)
        active.trace = trace.outer


def is_tracing() -> bool:
    """Whether this thread is running the body of a pipeline."""
    return active.trace is not None


def trace_that_started(thread: threading.Thread) -> Trace | None:
    """The open trace that was there before this thread was: its body, or what that called, started the thread."""
    for trace in () if active.has_traced else _open_traces:
        if thread not in trace.threads:
            return trace
    return None


def open_trace_count() -> int:
    """How many bodies are running now, in all threads."""
    return len(_open_traces)


def merged(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> dict[str, Any]:
    """Options, the inner ones first; dicts of text are merged key by key."""
    both = {**outer, **inner}
    for key in ("env", "labels"):
        if isinstance(inner.get(key), Mapping) and isinstance(outer.get(key), Mapping):
            both[key] = {**outer[key], **inner[key]}
    return both

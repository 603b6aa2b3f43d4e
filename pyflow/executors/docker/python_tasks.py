"""Invocations of Python tasks in one container: started, waited for, and what came of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pyflow.contract import Invocation, Outcome
from pyflow.executors.docker.container import Container, State
from pyflow.executors.launcher import Finished, Lost
from pyflow.runtime import (
    CANCELLED,
    OUT_OF_MEMORY,
    TIMED_OUT,
    committed_outcome,
    is_lost,
    last_heartbeat,
    left_outcome,
    out_of_memory_reason,
)
from pyflow.store import ContentStore

_LAST_LINES: Final = 15
_TIMED_OUT_REASON: Final = "it ran longer than its timeout of {:g} s."

Ended = Finished | Lost


class PythonEnds:
    """Reads what came of invocations from the store, when their container has ended.

    Args:
        content: The store of the run.
        timeout_s: How long each of them may take.
        memory_mib: How much memory they have together.
    """

    def __init__(self, content: ContentStore, timeout_s: float | None, memory_mib: int | None) -> None:
        self._content = content
        self._timeout_s = timeout_s
        self._memory_mib = memory_mib

    def of(
        self, invocations: Sequence[Invocation], container: Container, state: State
    ) -> tuple[list[Ended], list[Invocation]]:
        """How they ended, in their order, and those that have not begun."""
        ends: list[Ended] = []
        for index, invocation in enumerate(invocations):
            outcome = committed_outcome(invocation, self._content) or left_outcome(invocation, self._content)
            if outcome is not None:
                ends.append(_told(outcome))
                continue
            ends.append(self._lost(invocation, container, state))
            rest = list(invocations[index + 1 :])
            if container.ended_for != "cancelled":
                return ends, rest
            ends += [Lost(other.slot, other.attempt, "the run was cancelled.") for other in rest]
            break
        return ends, []

    def _lost(self, invocation: Invocation, container: Container, state: State) -> Lost:
        """The end of an attempt of which nothing is written down: not even the runtime in the container was left."""
        lost: Callable[..., Lost] = lambda reason, **more: Lost(invocation.slot, invocation.attempt, reason, **more)  # noqa: E731
        if container.ended_for == "cancelled":
            return lost("the run was cancelled.")
        if container.ended_for == "timeout":
            assert self._timeout_s is not None
            return lost(_TIMED_OUT_REASON.format(self._timeout_s), is_timeout=True)
        if state.is_out_of_memory:
            heartbeat = last_heartbeat(invocation, self._content)
            limit = None if self._memory_mib is None else self._memory_mib * 2**20
            sample = 0 if heartbeat is None else heartbeat.memory_bytes
            return lost(out_of_memory_reason(limit_bytes=limit, sample_bytes=sample), is_out_of_memory=True)
        return lost(_how(state) + _last_words(container))


def _told(outcome: Outcome) -> Ended:
    if not is_lost(outcome):
        return Finished(outcome)
    assert outcome.error is not None
    kind = outcome.error.type
    log = None if outcome.log is None else (outcome.log.writer, outcome.log.start, outcome.log.end)
    return Lost(
        outcome.slot,
        outcome.attempt,
        "the run was cancelled." if kind == CANCELLED else outcome.error.message,
        is_timeout=kind == TIMED_OUT,
        is_out_of_memory=kind == OUT_OF_MEMORY,
        log=log,
    )


def _how(state: State) -> str:
    if state.error:
        return f"its container could not run: {state.error.rstrip('.')}."
    if state.exit_code == 137:
        return "its container was killed: by somebody from outside, or because the machine ran out of memory."
    return f"its container ended with code {state.exit_code} before it told what came of the task."


def _last_words(container: Container) -> str:
    text = container.printed(lines=_LAST_LINES).decode(errors="replace").strip()
    return f" It printed last:\n{text}" if text else ""

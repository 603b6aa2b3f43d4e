"""The smallest pipeline there is, to try whether a place can run one. It travels with pyflow, as all that pods need does."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Final

from pyflow.api.pipelines import pipeline
from pyflow.api.start import Started
from pyflow.errors import PyflowError
from pyflow.executors import Finding
from pyflow.runs import Event
from pyflow.terminal import duration_text
from pyflow.tracing import task

_PATIENCE_S: Final = 180.0
_HOPE_S: Final = 20.0
"""How long a pod may wait for a reason before the reason is what is told."""

_LOOK_AT_POD: Final = (
    "Mend what the pod waits for, and look again; 'kubectl describe pod' and 'kubectl get events' tell more of it."
)
_NOT_TAKEN: Final = "Correct what it names: a setting, a right, or the store that pods and you share."


@task
def greet(name: str) -> str:
    """The smallest task there is."""
    return f"hello {name} from process {os.getpid()}"


@pipeline(name="doctor")
def hello(name: str) -> str:
    """The smallest pipeline there is."""
    return greet(name)


def probe(executor: str, store: str | None) -> Finding:
    """Run the smallest pipeline on a place that goes on with runs by itself, and tell what came of it."""
    began = time.monotonic()
    chosen = hello.with_options(executor=executor, progress=False)
    if store is not None:
        chosen = chosen.with_options(store=store)
    try:
        started = chosen.prepare(("doctor",), {})
        patience = _Patience()
        try:
            ending = started.executor.run(replace(started.job, watchers=(patience,)))
        except TimeoutError as error:
            _cancel(started)
            return Finding("probe", is_ok=False, detail=str(error), fix=_LOOK_AT_POD)
        if not ending.is_success:
            fix = f"Look at what it wrote: pyflow show {started.run.id}, pyflow logs {started.run.id}."
            return Finding("probe", is_ok=False, detail=str(started.run.failure()), fix=fix)
        started.run.result()
    except PyflowError as error:
        return Finding("probe", is_ok=False, detail=str(error), fix=_NOT_TAKEN)
    took = duration_text(time.monotonic() - began)
    return Finding("probe", is_ok=True, detail=f"a task ran in a pod, its result came back signed, in {took}")


def _cancel(started: Started) -> None:
    try:
        started.run.cancel()
    except PyflowError:
        return  # why it does not answer is told already


class _Patience:
    """Watches a run, and ends the watching when it takes too long."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._why = ""
        self._why_since = 0.0

    def on_event(self, event: Event) -> None:
        """Remember why nothing happens."""
        why = {"waiting": "reason", "trouble": "message"}.get(str(event["event"]))
        if why is not None:
            self._why, self._why_since = event[why], time.monotonic()

    def on_tick(self) -> None:
        """Give up when it takes too long.

        Raises:
            TimeoutError: It does.
        """
        now = time.monotonic()
        if self._why and now - self._why_since > _HOPE_S:
            raise TimeoutError(f"a pod does not start: {self._why}")
        if now - self._began > _PATIENCE_S:
            raise TimeoutError(
                f"a task of one line did not end within {duration_text(_PATIENCE_S)}. {self._why}".rstrip()
            )

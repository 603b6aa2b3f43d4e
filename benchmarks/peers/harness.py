"""The talk between the runner and a peer: one JSON request a line in, one JSON reply a line out.

Every peer imports this file and nothing else of the benchmarks, so it holds to the standard library.
Which workloads there are and what their values should be is the runner's business (`workloads.py`).
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Request:
    """One round of one workload."""

    workload: str
    size: int
    seed: int
    """Differs in every round, so that no cache and no content address can save the work."""
    trail: str = ""
    """A folder where tasks that hold an array leave their process id; empty for none."""


@dataclass(frozen=True)
class Timed:
    """A value together with the seconds that count, for workloads that clock only a part of what they do."""

    value: object
    seconds: float


def own_stdout() -> TextIO:
    """Standard output for replies alone: whatever else prints, here or in a child, goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def answer(request: Request, workloads: Mapping[str, Callable[[Request], object]]) -> dict[str, object]:
    """Run one round and say how long it took and what came out, or what went wrong."""
    if request.workload not in workloads:
        return {"workload": request.workload, "unsupported": True}
    began = time.perf_counter()
    try:
        value: Any = workloads[request.workload](request)
    except Exception as error:  # noqa: BLE001 - the reply carries it to the runner, whatever it is
        traceback.print_exc()
        return {"workload": request.workload, "error": f"{type(error).__name__}: {error}"[:500]}
    seconds = time.perf_counter() - began
    if isinstance(value, Timed):
        value, seconds = value.value, value.seconds
    return {"workload": request.workload, "seconds": seconds, "value": value}


def serve(
    workloads: Mapping[str, Callable[[Request], object]],
    *,
    version: str,
    start: Callable[[], object] | None = None,
    stop: Callable[[], object] | None = None,
) -> None:
    """Answer requests until standard input ends.

    Args:
        workloads: What can be asked for, by name.
        version: What the results call the version of the tool under test.
        start: Called once before the first request.
        stop: Called once after the last, also when a request broke the peer.
    """
    replies = own_stdout()
    if start is not None:
        start()
    try:
        print(
            json.dumps({"ready": True, "version": version, "python": sys.version.split()[0]}), file=replies, flush=True
        )
        for line in sys.stdin:
            print(json.dumps(answer(Request(**json.loads(line)), workloads)), file=replies, flush=True)
    finally:
        if stop is not None:
            stop()

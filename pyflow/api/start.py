"""From a call of a pipeline to a run: trace, pack, check, record, carry out."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyflow.api.home import Workplace
from pyflow.api.run import Run
from pyflow.bundle import discover
from pyflow.executors import Ending, Executor, Job, open_executor
from pyflow.graph import CallNode, Graph
from pyflow.packing import Packed, pack
from pyflow.progress import open_progress
from pyflow.runs import RunRecord, new_run_id, process_started, this_host
from pyflow.scheduling import Capacity
from pyflow.version import VERSION


@dataclass(frozen=True, slots=True)
class Started:
    """A run that is recorded, and waits to be carried out."""

    run: Run
    job: Job
    executor: Executor

    def carry_out(self) -> Ending:
        """Carry it out in this thread."""
        return self.executor.run(self.job)


def prepare(graph: Graph, workplace: Workplace, *, arguments: str = "") -> Started:
    """Pack a graph, check that the executor can do what it asks, and record the run.

    Raises:
        PyflowError: Something stands against the run; nothing has run then.
    """
    executor = open_executor(workplace.settings.executor or "local")
    packed = pack(graph, workplace.content, bundle=discover(_functions(graph)))
    executor.check(packed.graph)
    record = _record(packed, executor.name, arguments)
    record.write(workplace.content)
    run = Run(workplace.content, record, workplace.results)
    job = Job(
        run_id=record.run_id,
        graph=packed.graph,
        graph_digest=packed.digest,
        graph_size=packed.size_bytes,
        home=workplace.home,
        content=workplace.content,
        capacity=Capacity(cpus=float("inf"), tasks=workplace.settings.parallelism or float("inf")),
        watchers=open_progress(packed.graph, record.run_id, is_wanted=workplace.settings.progress),
        is_cancel_requested=lambda: (
            workplace.content.blobs.info(workplace.content.keys.cancel(record.run_id)) is not None
        ),
    )
    return Started(run, job, executor)


def carry_out_aside(started: Started) -> threading.Thread:
    """Carry a run out in a thread of its own; the process does not end before it has."""
    thread = threading.Thread(target=started.carry_out, name=f"pyflow {started.run.id}")
    thread.start()
    return thread


def _functions(graph: Graph) -> list[Any]:
    found = {id(n.function): n.function.fn for n in graph.walk() if isinstance(n, CallNode)}
    if graph.on_exit is not None:
        found[id(graph.on_exit.function)] = graph.on_exit.function.fn
    return list(found.values())


def _record(packed: Packed, executor: str, arguments: str) -> RunRecord:
    now = time.time()
    return RunRecord(
        run_id=new_run_id(packed.graph.name, now),
        pipeline=packed.graph.name,
        executor=executor,
        graph_digest=packed.digest,
        graph_size=packed.size_bytes,
        started_at=now,
        pyflow_version=VERSION,
        python=sys.version.split()[0],
        host=this_host(),
        pid=os.getpid(),
        pid_started=process_started(os.getpid()),
        arguments=arguments,
    )


__all__ = ["Path", "Started", "carry_out_aside", "prepare"]

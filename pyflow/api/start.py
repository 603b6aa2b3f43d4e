"""From a call of a pipeline to a run: trace, pack, check, record, carry out."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyflow.api.asking import ask_what_to_do
from pyflow.api.home import Workplace
from pyflow.api.manifest import Manifest
from pyflow.api.opening import open_run
from pyflow.api.packages import packages_for, teller
from pyflow.api.run import Run
from pyflow.bundle import discover
from pyflow.errors import ConfigError, DefinitionError, NotFoundError, StoreError, add_note
from pyflow.executors import (
    Begun,
    Deployed,
    Ending,
    Executor,
    Job,
    images_of_tasks,
    is_remote,
    open_executor,
    open_remote,
)
from pyflow.graph import CallNode, Graph
from pyflow.late import late
from pyflow.packed import PackedGraph
from pyflow.packing import pack
from pyflow.progress import open_progress
from pyflow.runs import Journal, RunRecord, RunSummary, new_run_id, process_started, this_host, write_once_possible
from pyflow.runtime import importing_module
from pyflow.scheduling import Capacity
from pyflow.store import ContentStore
from pyflow.terminal import open_closed_streams
from pyflow.version import VERSION

if TYPE_CHECKING:
    from pyflow.api import completeness
else:
    completeness = late("pyflow.api.completeness")


@dataclass(frozen=True, slots=True)
class Started:
    """A run that is recorded, and waits to be carried out."""

    run: Run
    job: Job
    executor: Executor
    is_progress_wanted: bool | None = None
    is_aside: bool = False
    """The caller goes on meanwhile."""

    def carry_out(self) -> Ending:
        """Carry it out in this thread, and show how it goes on where somebody may look."""
        displays = open_progress(
            self.job.graph,
            self.job.run_id,
            is_wanted=self.is_progress_wanted,
            is_aside=self.is_aside,
            prints_here=self.executor.name == "inprocess",
            read_log=self._read_log,
            log_command=lambda: self.run.command("logs"),
            where=self.run.record.where,
        )
        try:
            ending = self.executor.run(replace(self.job, watchers=displays))
        except BaseException as error:
            self._leave(error)
            raise
        finally:
            for display in displays:
                display.close()
        if ending.is_to_end:
            if not ending.is_success:
                print(self.run.stopped_text(), file=sys.stderr, flush=True)  # noqa: T201  nobody else can say it now
            # The signal that asked for it ends this process, as it would have without a run.
            os.kill(os.getpid(), signal.SIGTERM)
        return ending

    def _read_log(self, writer: str, start: int, end: int) -> bytes:
        content = self.job.content
        return content.blobs.read_log(content.keys.log(self.job.run_id, writer), start, end)

    def _leave(self, error: BaseException) -> None:
        """Say in the store that nobody goes on with the run, though this process lives on: now, or once it can be written."""
        if is_remote(self.executor):
            return
        now, stopped = time.time(), isinstance(error, KeyboardInterrupt)
        summary = RunSummary(
            run_id=self.run.id,
            status="cancelled" if stopped else "failed",
            ended_at=now,
            duration_s=round(now - self.run.record.started_at, 4),
            failures=[] if stopped else [["", self.job.graph.name, type(error).__name__, str(error)[:2000]]],
        )
        try:
            if self.run.summary is None:
                summary.write(self.job.content)
        except StoreError as another:
            write_once_possible(summary, self.job.content)
            later = "It will be once the store takes it, if this process still runs then."
            add_note(error, f"The end of run {self.run.id} could not be written down either: {another} {later}")


def prepare(graph: Graph, workplace: Workplace, *, arguments: str = "", is_aside: bool = False) -> Started:
    """Pack a graph, check that the executor can do what it asks, and record the run.

    Args:
        graph: What tracing gave.
        workplace: Where the run is kept, and the settings that hold.
        arguments: The call, shortened, for listings.
        is_aside: The caller goes on while the run does.

    Raises:
        PyflowError: Something stands against the run; nothing has run then.
    """
    _refuse_while_importing(graph)
    open_closed_streams()
    settings = workplace.settings
    executor = open_executor(settings.executor or "local", settings, ask=ask_what_to_do)
    job = packed_job(graph, workplace, executor)
    begun = _begin(executor, job)
    record = _record(job, executor.name, arguments, begun)
    if record.create(workplace.content):
        _note_beginning(workplace.content, record, begun)
    elif not begun.place:
        raise NotFoundError(f"There is a run {record.run_id!r} already.")
    job = replace(
        job,
        run_id=record.run_id,
        is_cancel_requested=_Cancellation(workplace.content, record.run_id).is_requested,
    )
    run = open_run(workplace, record, job.graph)
    return Started(run, job, executor, settings.progress, is_aside)


def compile_graph(graph: Graph, workplace: Workplace, target: str) -> Manifest:
    """What would be handed to a place whose runs go on by themselves: packed into the store, and nothing started.

    Raises:
        ConfigError: There is no such place.
        PyflowError: Something stands against the run.
    """
    executor = open_remote(target, workplace.settings)
    return Manifest(executor.compile(packed_job(graph, workplace, executor)))


def packed_job(graph: Graph, workplace: Workplace, executor: Executor) -> Job:
    """Pack a graph into the store, and check that the executor can do what it asks: a run that has no name yet."""
    url = workplace.content.blobs.url
    if url.startswith("memory:") and executor.name != "inprocess":
        raise ConfigError(
            f"The store {url} is in the memory of this process, and executor {executor.name!r} runs tasks in others. "
            "Choose a folder or a bucket by store=, or executor='inprocess'."
        )
    bundle = discover(_functions(graph))
    if is_remote(executor):
        images = images_of_tasks(executor.name, workplace.settings)
        completeness.refuse_incomplete(graph, bundle, teller(workplace), images)
    packed = pack(
        graph,
        workplace.content,
        bundle=bundle,
        environment_of=packages_for(graph, workplace, executor.name),
    )
    executor.check(packed.graph)
    return Job(
        run_id="",
        graph=packed.graph,
        graph_digest=packed.digest,
        graph_size=packed.size_bytes,
        home=workplace.home,
        content=workplace.content,
        capacity=Capacity(cpus=float("inf"), tasks=workplace.settings.parallelism or float("inf")),
    )


def _begin(executor: Executor, job: Job) -> Begun:
    """The name of a run: from the place that takes it on, or, where this process drives it, made here."""
    if is_remote(executor):
        return executor.begin(job)
    return Begun(new_run_id(job.graph.name, time.time()))


def kept_job(workplace: Workplace, deployed: Deployed) -> Job:
    """What a place keeps, as a run that has no name yet.

    Raises:
        StoreError: Its graph is not to be had.
    """
    graph = PackedGraph.from_bytes(workplace.content.read_blob(deployed.graph_digest, deployed.graph_size))
    return Job(
        run_id="",
        graph=graph,
        graph_digest=deployed.graph_digest,
        graph_size=deployed.graph_size,
        home=workplace.home,
        content=workplace.content,
        capacity=Capacity(cpus=float("inf")),
    )


def started_elsewhere(job: Job, begun: Begun, arguments: str) -> RunRecord:
    """The record of a run of what a place keeps; one of its pods may have written it first."""
    record = _record(job, "argo", arguments, begun)
    if record.create(job.content):
        _note_beginning(job.content, record, begun)
    return record


def _note_beginning(content: ContentStore, record: RunRecord, begun: Begun) -> None:
    """Write down that a run has begun which another place goes on with: whoever records it first says so, a pod otherwise."""
    if begun.place:
        journal = Journal(content, record.run_id, writer=f"submitter-{os.urandom(4).hex()}", is_new=True)
        journal.add("run-started")
        journal.flush()
        content.blobs.flush()


class _Cancellation:
    """Looks whether somebody has asked a run to end, as often as the store allows."""

    def __init__(self, content: ContentStore, run_id: str) -> None:
        self._blobs = content.blobs
        self._key = content.keys.cancel(run_id)
        self._look_at = time.monotonic() + self._blobs.poll_s

    def is_requested(self) -> bool:
        """Whether somebody had, at the last look."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + self._blobs.poll_s
        return self._blobs.info(self._key) is not None


def _refuse_while_importing(graph: Graph) -> None:
    """A module that runs its pipeline when it is imported would run it again in each worker, without an end."""
    place = importing_module()
    if place is not None:
        raise DefinitionError(
            f"Pipeline {graph.name!r} is called at {place} while a worker imports that file, so every run would start another. "
            'Put the call below  if __name__ == "__main__":'
        )


def _functions(graph: Graph) -> list[Any]:
    return list({id(n.function): n.function.fn for n in graph.walk_all() if isinstance(n, CallNode)}.values())


def _record(job: Job, executor: str, arguments: str, begun: Begun) -> RunRecord:
    return RunRecord(
        run_id=begun.run_id,
        pipeline=job.graph.name,
        executor=executor,
        graph_digest=job.graph_digest,
        graph_size=job.graph_size,
        started_at=time.time(),
        pyflow_version=VERSION,
        python=sys.version.split()[0],
        host=this_host(),
        pid=os.getpid(),
        pid_started=process_started(os.getpid()),
        arguments=job.content.guard.masked(arguments),
        place=begun.place,
    )

"""A run, as the person who started it, or anyone who knows its id, sees it."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pyflow.api.asked import Asked
from pyflow.api.home import command
from pyflow.api.logs import AttemptLog, LogReader
from pyflow.api.names import slot_indices, split_name, which_indices
from pyflow.api.raising import raise_as_it_was, rebuild
from pyflow.artifacts import Artifact
from pyflow.bundle import install
from pyflow.contract import ErrorRecord, parse_slot
from pyflow.errors import (
    DefinitionError,
    ExecutorError,
    IntegrityError,
    LostRunError,
    NotFoundError,
    RunCancelledError,
    add_note,
)
from pyflow.executors import RemoteExecutor
from pyflow.graph import suggestion
from pyflow.packed import PackedGraph, PackedMap
from pyflow.runs import (
    ENDED,
    Event,
    NodeView,
    RunRecord,
    RunSummary,
    RunView,
    SlotView,
    Status,
    failed_slots,
    is_caller_alive,
    read_events,
    slot_name,
    unwritten_summary,
)
from pyflow.runtime import Place, Program, Resolver
from pyflow.store import ContentStore, about_error
from pyflow.uncaught import tell_plainly

_LONGEST_WAIT_S: Final = 3600.0
"""Some systems count no longer waits."""
_FIRST_POLL_S: Final = 0.05


class Run:
    """One run of a pipeline. Everything about it is read from its store.

    ``pipeline.submit(...)`` gives one, and ``load_run(id)``, in any process.
    """

    def __init__(
        self,
        content: ContentStore,
        record: RunRecord,
        results: Path,
        *,
        graph: PackedGraph | None = None,
        remote: Callable[[], RemoteExecutor] | None = None,
    ) -> None:
        self._content = content
        self._record = record
        self._results = results
        self._graph = graph
        self._summary: RunSummary | None = None
        self._thread: threading.Thread | None = None
        self._has_ended = threading.Event()
        self._broken_off_by: Exception | None = None
        self._is_asked_to_end = False
        self._remote = None if remote is None else Asked(remote, record, content)

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self._record.pipeline!r}: {self.status}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and (self.id, self._content.blobs.url) == (other.id, other._content.blobs.url)

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        """The name of the run, unique in its store."""
        return self._record.run_id

    def command(self, words: str) -> str:
        """What to type here for ``pyflow WORDS`` about this run."""
        return command(words, self.id, self._content.blobs.url)

    @property
    def record(self) -> RunRecord:
        """What was started, when, by whom and where."""
        return self._record

    @property
    def summary(self) -> RunSummary | None:
        """How it ended; None while it has not."""
        if self._summary is None:
            # Looked for before the store is, for whoever writes it forgets it then. Once written it stays as it is.
            unwritten = unwritten_summary(self._content, self.id)
            self._summary = RunSummary.read(self._content, self.id)
            return self._summary or unwritten
        return self._summary

    @property
    def status(self) -> Status:
        """``pending``, ``running``, ``succeeded``, ``failed``, ``cancelled`` or ``lost`` (its caller died)."""
        summary = self.summary
        if summary is not None:
            return summary.status
        if self._remote is not None:
            return self._remote.status()
        has_left = self._thread is not None and not self._thread.is_alive()
        if has_left or is_caller_alive(self._record) is False:
            # It may have ended between the two looks.
            summary = self.summary
            return "lost" if summary is None else summary.status
        return "running"

    @property
    def trouble(self) -> str:
        """Why nobody could say how the run is when its status was asked for last; empty when all is well."""
        return "" if self._remote is None else self._remote.trouble

    @property
    def graph(self) -> PackedGraph:
        """What runs, as it was packed."""
        if self._graph is None:
            data = self._content.read_blob(self._record.graph_digest, self._record.graph_size)
            self._graph = PackedGraph.from_bytes(data)
        return self._graph

    @property
    def nodes(self) -> Mapping[str, NodeView]:
        """Its nodes by name, in the order of the trace, with status, attempts and times."""
        return self.view().by_name()

    def view(self) -> RunView:
        """The whole state of the run, as its events tell it."""
        status = self.status
        view = RunView(self.graph, read_events(self._content, self.id))
        if status in ENDED and view.status not in ENDED:
            view.caller_died()
            view.status = status
        if self._remote is not None and status not in ENDED:
            # Where nobody drives a run, nobody tells that it was asked to end.
            view.is_cancel_requested = self._content.blobs.info(self._content.keys.cancel(self.id)) is not None
        return view

    def events(self) -> Iterator[Event]:
        """What happened so far, in order. Events about a node say its name beside its slot."""
        nodes = RunView(self.graph).nodes
        names = {node.id: node.name for node in nodes.values()}
        for event in read_events(self._content, self.id):
            node = nodes.get(parse_slot(event["slot"])[0]) if "slot" in event else None
            yield event if node is None else {**event, "node": slot_name(node, event["slot"], names)}

    def wait(self, timeout_s: float | None = None) -> Status:
        """Wait until the run has ended, or the time is up; the status then.

        A run that failed raises nothing here: ``result`` does.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed. A run of this process was cancelled, what had finished is kept; another goes on, and
                the text says how to come back to it.
            TypeError: The time is no number of seconds.
        """
        if isinstance(timeout_s, str):
            raise TypeError(
                f"wait() waits for a number of seconds, as wait(timeout_s=60), and was given {timeout_s!r}."
            )
        end = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        if self._thread is not None:
            # It is carried out in this process: no need to ask the store.
            self._wait_for_thread(end)
        with self._watched():
            return self._poll(end)

    def _poll(self, end: float) -> Status:
        pause_s = _FIRST_POLL_S
        status = self.status
        while status not in ENDED and (left_s := end - time.monotonic()) > 0:
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, self._content.blobs.poll_s)
            status = self.status
        return status

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Say how to come back when Ctrl-C ends the watching of a run that goes on elsewhere."""
        try:
            yield
        except KeyboardInterrupt:
            if self._thread is not None:
                raise
            raise KeyboardInterrupt(self.detached_text()) from None

    def _wait_for_thread(self, end: float) -> None:
        """Wait until it has ended, or for a moment; Ctrl-C cancels the run, and pressed again ends the waiting.

        Not by ``join``: that takes a thread for one that has ended when a signal interrupts it (CPython 3.10 to 3.12).
        """
        is_stopped = False
        while not self._has_ended.is_set() and (left_s := end - time.monotonic()) > 0:
            try:
                self._has_ended.wait(min(left_s, _LONGEST_WAIT_S))
            except KeyboardInterrupt:
                if is_stopped:
                    raise
                is_stopped = True
                self.cancel()
        if is_stopped:
            raise KeyboardInterrupt(self.stopped_text())

    def stopped_text(self) -> str:
        """What to say when Ctrl-C was pressed."""
        return f"Run {self.id} was stopped. What had finished is kept: {self.command('show')}"

    def detached_text(self) -> str:
        """What to say when a caller stops watching, and the run goes on."""
        if self._is_asked_to_end:
            return f"Run {self.id} has been asked to end, and does so by itself. Its state: {self.command('show')}"
        return (
            f"Run {self.id} goes on. Watch it: {self.command('logs --follow')}; its state: {self.command('show')}; "
            f"in Python: load_run({self.id!r}); end it: {self.command('cancel')}"
        )

    def carried_out_by(self, thread: threading.Thread, has_ended: threading.Event) -> None:
        """The run ends with a thread of this process, which says when it is about to end."""
        self._thread, self._has_ended = thread, has_ended

    def broke_off(self, error: Exception) -> None:
        """The thread that carried it out could not go on: ``result`` raises the same as a plain call of the pipeline."""
        self._broken_off_by = error

    def result(self, node: str | None = None, index: int | None = None) -> Any:
        """The value that the pipeline returned, or the result of one node; waits until there is one.

        Args:
            node: A node's name, ``fit`` or ``clean/fit``; None: what the pipeline's body returned.
            index: Which item of a map; None: all of them.

        Raises:
            Exception: What the task raised, if the run or this node failed: the original type where it can be rebuilt.
            PyflowError: It could not be carried out in this process: what a plain call of the pipeline would raise.
            RunCancelledError: It was cancelled.
            LostRunError: Its caller died before it ended.
            KeyboardInterrupt: As ``wait`` does.
            NotFoundError: There is no such node, or no result of it.
        """
        if node is not None:
            return self._result_of(node, index)
        status = self.wait()
        if status != "succeeded":
            __tracebackhide__ = True
            tell_plainly()
            raise_as_it_was(self.failure(status))
        return self._resolver().value(self.graph.region.output, _TOP, ())

    def artifact(self, node: str, index: int | None = None) -> Artifact:
        """The result of a node, or of one item of a map, by reference: an argument for another pipeline.

        Raises:
            NotFoundError: There is no such node, or no result of it.
        """
        found, indices = self._find(node, index)
        view = self.view()
        slots = self.slots_of(view, node, index)
        if not slots and view.status in ENDED:
            self.check_item(view, node, index)
        if not any(slot.status == "succeeded" for slot in slots):
            raise NotFoundError(self._why_missing(node, slots[0] if slots else SlotView("")))
        wire = self._resolver().outcome(found, indices).result
        return Artifact(wire, self._content, f"{node!r} of run {self.id}")

    def logs(self, node: str | None = None, index: int | None = None, *, follow: bool = False) -> Any:
        """What the tasks printed: text, or with ``follow`` an iterator of lines that ends with the run.

        Args:
            node: Of this node only; None: of all, in the order in which they started.
            index: Of this item of a map only.
            follow: Go on while the run goes on.

        Raises:
            NotFoundError: There is no such node, or, when the run has ended, no such item of it.
        """
        if follow:
            reader = LogReader(self._content, self.id)
            return reader.follow(self.view, lambda view: self._slots_or_all(view, node, index))
        return "".join(log.text for log in self.attempt_logs(self.view(), node, index))

    def attempt_logs(self, view: RunView, node: str | None = None, index: int | None = None) -> Iterator[AttemptLog]:
        """What each attempt printed until a moment that a view shows, in the order in which they started."""
        return LogReader(self._content, self.id).read(view, self._slots_or_all(view, node, index))

    def _slots_or_all(self, view: RunView, node: str | None, index: int | None) -> list[SlotView]:
        if node is None:
            return [slot for n in view.nodes.values() for slot in n.slots.values()]
        slots = self.slots_of(view, node, index)
        if not slots and view.status in ENDED and self.slots_of(view, split_name(node)[0]):
            self.check_item(view, node, index)  # of a node that has not run there is nothing to be seen
        return slots

    def unpack_code(self, folder: Path) -> Path | None:
        """Unpack the local code that travelled with the run; the folder to put on ``sys.path``, None without any."""
        self._check_record()
        code = self.graph.code
        if code is None:
            return None
        return install(self._content.read_blob(code["digest"], code["size"]), folder)

    def cancel(self) -> None:
        """Ask the run to end, from whatever process. What has finished is kept.

        Raises:
            ExecutorError: The cluster that it goes on at cannot be asked now. Tasks that have not started yet will not.
        """
        if self.status not in ENDED:
            self._content.blobs.create(self._content.keys.cancel(self.id), b"{}")
            self._is_asked_to_end = True
            if self._remote is not None:
                self._remote.cancel()

    def slots_of(self, view: RunView, node: str, index: int | None = None) -> list[SlotView]:
        """The slots that a name stands for: ``fit`` for all items of a map, ``fit[3]`` for one.

        Raises:
            NotFoundError: There is no such node.
        """
        base, indices = split_name(node, index)
        nodes = [n for n in view.nodes.values() if n.name == base]
        if not nodes:
            raise NotFoundError(f"Run {self.id} has no node {base!r}.{suggestion(base, list(view.by_name()))}")
        return [slot for n in nodes for slot in n.slots.values() if slot_indices(slot.slot)[: len(indices)] == indices]

    def check_item(self, view: RunView, node: str, index: int | None = None) -> None:
        """Refuse an item of a map that is not among those that have started.

        Raises:
            NotFoundError: There is no such node, or no such item of it.
        """
        base, indices = split_name(node, index)
        if indices and not self.slots_of(view, node, index):
            depths = {len(n.maps) for n in view.nodes.values() if n.name == base}
            if len(indices) > max(depths):
                raise NotFoundError(f"Run {self.id}: {which_indices(base, depths, len(indices))}")
            count = len(self.slots_of(view, base))
            name = base if index is None else node
            item = "no such item" if index is None else f"no item {index}"
            raise NotFoundError(f"Node {name!r} of run {self.id} has {item}: there are {count}.")

    def failure(self, status: Status | None = None) -> BaseException:
        """The error that the run ended with, ready to be raised.

        Raises:
            DefinitionError: It did not fail.
        """
        if self._broken_off_by is not None:
            return self._broken_off_by
        status = status or self.status
        if status == "cancelled":
            return RunCancelledError(self.id, self.command("show"))
        if status == "lost":
            return LostRunError(self.id, self._how_lost(), self.command("show"))
        failed = failed_slots(self.view())
        if not failed:
            summary = self.summary
            if summary is not None and summary.failures:
                _, _, kind, message = summary.failures[0]
                return ExecutorError(f"Run {self.id} could not be carried out: {kind}: {message}")
            if status == "failed":
                return ExecutorError(
                    f"Run {self.id} has failed, and nobody has written why: what ended it could not. Look at what there is:  {self.command('show')}"
                )
            raise DefinitionError(f"Run {self.id} has not failed: it is {status}.")
        return self._error_of(*failed[0], others=failed[1:])

    def failure_of(self, node: str, index: int | None = None) -> BaseException | None:
        """What a node's task raised, ready to be raised, once the node has ended; None when it raised nothing.

        Raises:
            NotFoundError: There is no such node.
        """
        self._find(node, index, whole_maps=True)
        self._await(node, index)
        if self.status == "succeeded":
            return None  # without a look at all that happened
        view = self.view()
        return self._raised_by(view, self.slots_of(view, node, index))

    def _await(self, node: str, index: int | None) -> None:
        with self._watched():
            while self.status not in ENDED and not all(
                slot.status in ENDED for slot in self.slots_of(self.view(), node, index) or [SlotView("")]
            ):
                time.sleep(max(_FIRST_POLL_S, self._content.blobs.poll_s))

    def _result_of(self, node: str, index: int | None) -> Any:
        where = self._find(node, index, whole_maps=True)
        self._await(node, index)
        value, found = None, None
        try:
            value = self._resolver().node_value(*where)
        except IntegrityError as error:
            found = error
        if found is not None:
            # Not in the handler, so that the author's error does not seem to come of an error of the store.
            __tracebackhide__ = True
            tell_plainly()
            raise_as_it_was(self._error_instead(node, index, found))
        return value

    def _error_instead(self, node: str, index: int | None, found: IntegrityError) -> BaseException:
        """Why a node has no result: what its task raised, else how it is; what was found where it should have one."""
        view = self.view()
        slots = self.slots_of(view, node, index)
        raised = self._raised_by(view, slots)
        if raised is not None:
            return raised
        missing = [slot for slot in slots if slot.status != "succeeded"]
        if missing:
            return NotFoundError(self._why_missing(node, missing[0]))
        if not slots:
            self.check_item(view, node, index)
            return NotFoundError(self._why_missing(node, SlotView("", view.by_name()[split_name(node)[0]].status)))
        return found

    def _raised_by(self, view: RunView, slots: list[SlotView]) -> BaseException | None:
        failed = [(name, slot) for name, slot in failed_slots(view) if slot in slots]
        return self._error_of(*failed[0], others=failed[1:]) if failed else None

    def _why_missing(self, node: str, slot: SlotView) -> str:
        why = f" ({slot.error['type']}: {slot.error['message'][:500]})" if slot.error else ""
        return f"Node {node!r} of run {self.id} has no result: it is {slot.status}{why}. More: {self.command('show')}"

    def _error_of(self, name: str, slot: SlotView, others: list[tuple[str, SlotView]]) -> BaseException:
        attempt = slot.attempts[-1].number if slot.attempts else 1
        record = ErrorRecord(**slot.error)
        self._check_record()
        about = about_error(self.id, self._record.graph_digest, slot.slot)
        error = rebuild(record, node=name, attempt=attempt, content=self._content, about=about)
        add_note(
            error,
            f"Raised by task {name!r}, attempt {attempt}, in run {self.id}. Its log: {self.command('logs')} {shlex.quote(name)}",
        )
        for other_name, other in others[:10]:
            add_note(error, f"Also failed: {other_name!r} ({other.error['type']}: {other.error['message'][:200]})")
        if len(others) > 10:
            add_note(error, f"… and {len(others) - 10} more. All of them: {self.command('show')}")
        return error

    def _how_lost(self) -> str:
        on_exit = self.graph.on_exit
        return (
            f"the process that ran it ({self._record.host}, pid {self._record.pid}) ended before the run did"
            f"{'' if on_exit is None else f', and its exit handler {on_exit.name!r} did not run'}"
        )

    def _check_record(self) -> None:
        """Make sure that somebody with a key has recorded the run: where a cluster has told of it first, a pod has by now."""
        if not self._record.is_kept:
            self._record = RunRecord.read(self._content, self.id)
        self._record.check(self._content)

    def _resolver(self) -> Resolver:
        self._check_record()
        return Resolver(self._program(), self._content, self.id, self._results / self.id)

    def _program(self) -> Program:
        return Program(self.graph, self._record.graph_digest)

    def _find(self, name: str, index: int | None, *, whole_maps: bool = False) -> tuple[int, tuple[int, ...]]:
        """Node and index vector of a name, with ``fit[3]`` meaning item 3."""
        base, indices = split_name(name, index)
        nodes = [n for n in self.graph.walk() if n.name == base]
        if self.graph.on_exit is not None and self.graph.on_exit.name == base:
            nodes.append(self.graph.on_exit)
        if not nodes:
            names = list(self.view().by_name())
            raise NotFoundError(f"Run {self.id} has no node {base!r}.{suggestion(base, names)}")
        program = self._program()
        depths = {n.id: len(program.place(n.id).maps) for n in nodes}
        for node in nodes:
            if depths[node.id] == len(indices) and (whole_maps or not isinstance(node, PackedMap)):
                return node.id, indices
        raise NotFoundError(f"Run {self.id}: {which_indices(base, set(depths.values()), len(indices))}")


_TOP: Final = Place(None, (), ())  # type: ignore[arg-type]

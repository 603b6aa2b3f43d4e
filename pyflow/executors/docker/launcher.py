"""Runs invocations in containers: a thread for each container, and one queue of what has ended.

What is committed has ended: one more thread looks for commits in a folder, for an engine takes a tenth of a second and more to take a
container down, in which the next task can start, and the items of a batch are told one by one.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from pyflow.contract import Invocation
from pyflow.errors import PyflowError
from pyflow.executors.docker.container import GRACE_S, Container, EngineError, State
from pyflow.executors.docker.container_tasks import ContainerAttempt
from pyflow.executors.docker.place import Place, Recipe
from pyflow.executors.docker.python_tasks import PythonEnds
from pyflow.executors.launcher import Finished, Lost, Report, Taken
from pyflow.packed import PackedCall, PackedContainer, PackedOptions
from pyflow.runtime import Program, committed_outcome, not_staged, out_of_memory_reason, writer_of

_START_S: Final = 120.0
"""How much longer than its task's limit a container may take, to start, to load inputs and to keep the result."""
_CLOSE_S: Final = 15.0
_LOOK_S: Final = 0.02
"""How often one container's commits are looked for; a look takes the hundredth part of it, so many containers are looked at less often."""
_LOOKED_AT_ONCE: Final = 8


class DockerLauncher:
    """Runs each invocation, or each batch of them, in a container of its own.

    Args:
        place: How containers are made.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._graph = place.job.graph
        self._nodes = {node.id: node for node in self._graph.walk()}
        if self._graph.on_exit is not None:
            self._nodes[self._graph.on_exit.id] = self._graph.on_exit
        self._reports: queue.Queue[Report | BaseException] = queue.Queue()
        self._groups: dict[str, _Group] = {}
        self._lock = threading.Lock()
        self._deaths: dict[str, int] = {}
        self._removals: list[threading.Thread] = []
        self._alive: set[_Group] = set()
        self._is_closed = threading.Event()
        if place.sees_folder:
            threading.Thread(target=self._look_for_commits, name="pyflow looks for commits", daemon=True).start()

    @property
    def in_advance(self) -> int:
        """None: a container is made for its tasks."""
        return 0

    def launch(self, invocations: Sequence[Invocation], timeout_s: float | None, *, in_advance: bool) -> str | None:  # noqa: ARG002  never
        """Start a thread that starts a container; ``wait`` reports when that runs."""
        group = _Group(self, invocations, timeout_s)
        with self._lock:
            self._groups.update({invocation.slot: group for invocation in invocations})
            self._alive.add(group)
        group.start()
        return None

    def wait(self, timeout_s: float | None) -> list[Report]:
        """What has ended, as soon as something has."""
        found: list[Report] = []
        try:
            item = self._reports.get(timeout=timeout_s) if timeout_s != 0 else self._reports.get_nowait()
            while True:
                if isinstance(item, BaseException):
                    raise item
                found.append(item)
                item = self._reports.get_nowait()
        except queue.Empty:
            return found

    def recall(self) -> list[str]:
        """Nothing is launched in advance."""
        return []

    def end(self, slots: Sequence[str]) -> None:
        """End the containers that run these."""
        with self._lock:
            groups = {id(group): group for slot in slots if (group := self._groups.get(slot)) is not None}
        for group in groups.values():
            group.end("cancelled")

    def close(self) -> None:
        """Kill and remove all containers, and what was made for them; those whose tasks have all ended may end by themselves."""
        self._is_closed.set()
        with self._lock:
            groups = sorted(self._alive, key=lambda group: group.has_told_all)
        until = time.monotonic() + _CLOSE_S
        for group in groups:
            if group.has_told_all:
                group.join(GRACE_S)
            group.kill()
        for group in groups:
            group.join(max(0.1, until - time.monotonic()))
        for removal in self._removals:
            removal.join(max(0.1, until - time.monotonic()))
        self._place.close()

    @property
    def is_busy(self) -> bool:
        """Whether something runs or waits to be told."""
        with self._lock:
            return bool(self._groups) or not self._reports.empty()

    def memory_of(self, slot: str, options: PackedOptions) -> int | None:
        """How much memory the next attempt gets: twice as much after each death by lack of it, up to what may be."""
        if options.memory_mib is None or options.memory_on_oom_mib is None:
            return options.memory_mib
        grown: int = options.memory_mib * 2 ** self._deaths.get(slot, 0)
        return min(options.memory_on_oom_mib, grown)

    def _look_for_commits(self) -> None:
        pause_s = _LOOK_S
        while not self._is_closed.wait(pause_s):
            with self._lock:
                groups = list(self._alive)
            for group in groups:
                group.tell_committed()
            pause_s = _LOOK_S * max(1.0, len(groups) / _LOOKED_AT_ONCE)

    def _forget(self, group: _Group) -> None:
        with self._lock:
            self._alive.discard(group)

    def _remove(self, container: Container) -> None:
        """Remove a container that has ended, while others start; ``close`` waits for it."""
        removal = threading.Thread(target=container.remove, name="pyflow removes", daemon=True)
        with self._lock:
            self._removals = [other for other in self._removals if other.is_alive()]
            # Started within the lock: a thread that has not started is not alive either.
            removal.start()
            self._removals.append(removal)

    def _tell(self, report: Finished | Lost) -> None:
        slot = report.outcome.slot if isinstance(report, Finished) else report.slot
        if isinstance(report, Lost) and report.is_out_of_memory:
            self._deaths[slot] = self._deaths.get(slot, 0) + 1
        with self._lock:
            self._groups.pop(slot, None)
        self._reports.put(report)


class _Group:
    """Invocations of one node that run one after the other, and the thread that sees to it."""

    def __init__(self, launcher: DockerLauncher, invocations: Sequence[Invocation], timeout_s: float | None) -> None:
        self._launcher = launcher
        self._place = launcher._place  # noqa: SLF001  one module
        self._waiting = deque(invocations)
        self._worker = writer_of(invocations)
        self._untold = deque(invocations)
        """Of which nobody knows yet that their container runs."""
        self._timeout_s = timeout_s
        node = launcher._nodes[invocations[0].node]  # noqa: SLF001
        assert isinstance(node, (PackedCall, PackedContainer))
        self._node: PackedCall | PackedContainer = node
        self._options = self._place.job.graph.options[self._node.options]
        self._container: Container | None = None
        self._lock = threading.Lock()
        self._ended_for: str | None = None
        self._timer: threading.Timer | None = None
        self._telling = threading.Lock()
        self._untold_ends = {invocation.slot: invocation for invocation in invocations}
        self._thread = threading.Thread(target=self._run, name=f"pyflow {invocations[0].slot}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    @property
    def has_told_all(self) -> bool:
        """Whether the end of all its invocations is told."""
        return not self._untold_ends

    def tell_committed(self) -> None:
        """Tell of what is committed, though its container may be there still."""
        if self._untold or not isinstance(self._node, PackedCall):
            return
        # Whoever waits for the container asks again, and raises what is wrong.
        with contextlib.suppress(PyflowError):
            for invocation in list(self._untold_ends.values()):
                found = committed_outcome(invocation, self._place.job.content)
                if found is None:
                    return
                self._tell(Finished(found))

    def _tell(self, report: Finished | Lost) -> None:
        """Tell of the end of an invocation, the first time."""
        slot = report.outcome.slot if isinstance(report, Finished) else report.slot
        with self._telling:
            if self._untold_ends.pop(slot, None) is not None:
                self._launcher._tell(report)  # noqa: SLF001  one module

    def end(self, reason: str) -> None:
        """Let it end soon; comes back at once."""
        with self._lock:
            self._ended_for = self._ended_for or reason
            container = self._container
        if container is not None:
            threading.Thread(target=container.end, args=(reason,), daemon=True).start()

    def kill(self) -> None:
        """End it now."""
        with self._lock:
            self._ended_for = self._ended_for or "cancelled"
            container = self._container
        if container is not None:
            container.ended_for = container.ended_for or "cancelled"
            container.remove()

    def _run(self) -> None:
        try:
            while self._waiting:
                if self._ended_for is not None:
                    self._give_up("the run was cancelled.")
                    return
                try:
                    if isinstance(self._node, PackedCall):
                        self._run_python(self._node)
                    else:
                        self._run_container(self._node)
                except EngineError as error:
                    self._lost_to_engine(error)
        except BaseException as error:  # noqa: BLE001  whoever waits for this thread raises it
            self._launcher._reports.put(error)  # noqa: SLF001
        finally:
            self._launcher._forget(self)  # noqa: SLF001

    def _lost_to_engine(self, error: EngineError) -> None:
        invocation = self._waiting.popleft()
        found = committed_outcome(invocation, self._place.job.content)
        reason = "the run was cancelled." if self._ended_for is not None else str(error)
        self._tell(Finished(found) if found else Lost(invocation.slot, invocation.attempt, reason))

    def _give_up(self, reason: str) -> None:
        while self._waiting:
            invocation = self._waiting.popleft()
            self._tell(Lost(invocation.slot, invocation.attempt, reason))

    def _run_python(self, node: PackedCall) -> None:
        """Run all that waits in one container; what that did not begin with waits for the next."""
        invocations = list(self._waiting)
        memory_mib = max((self._launcher.memory_of(i.slot, self._options) or 0 for i in invocations), default=0) or None
        recipe = self._place.python_container(invocations, node, self._options, memory_mib)
        container = self._started(recipe, len(invocations))
        try:
            state = container.wait()
            ends, rest = PythonEnds(self._place.job.content, self._timeout_s, memory_mib).of(
                invocations, container, state
            )
        finally:
            self._over(container)
        self._waiting = deque(rest)
        for end in ends:
            self._tell(end)
        self._place.forget(self._place.scratch_of(invocations[0]))

    def _run_container(self, node: PackedContainer) -> None:
        invocation = self._waiting[0]
        report = self._attempted(invocation, node)
        self._waiting.popleft()
        self._tell(report)

    def _attempted(self, invocation: Invocation, node: PackedContainer) -> Finished | Lost:
        """What comes of one container task."""
        job = self._place.job
        found = committed_outcome(invocation, job.content)
        if found is not None:
            return Finished(found)
        program = Program(job.graph, job.graph_digest)
        memory_mib = self._launcher.memory_of(invocation.slot, self._options)
        attempt = ContainerAttempt(invocation, self._place, program, node, self._options, memory_mib)
        try:
            recipe = attempt.recipe()
        except EngineError:
            attempt.close()
            raise
        except (PyflowError, OSError) as error:
            attempt.close()
            return Finished(not_staged(invocation, error, program, job.content))
        try:
            container = self._started(recipe, 1)
            try:
                state, end = attempt.follow(container)
                lost = self._lost_container(invocation, container, state, memory_mib, end.log)
                return lost or Finished(attempt.collect(container, end))
            finally:
                self._over(container)
        finally:
            attempt.close()

    def _lost_container(
        self, invocation: Invocation, container: Container, state: State, memory_mib: int | None, span: object
    ) -> Lost | None:
        """How a container was ended that did not end by itself."""
        log = None if span is None else (span.writer, span.start, span.end)  # type: ignore[attr-defined]
        if container.ended_for == "cancelled":
            return Lost(invocation.slot, invocation.attempt, "the run was cancelled.", log=log)
        if container.ended_for == "timeout":
            reason = f"it ran longer than its timeout of {self._timeout_s:g} s."
            return Lost(invocation.slot, invocation.attempt, reason, is_timeout=True, log=log)
        if state.is_out_of_memory:
            limit = None if memory_mib is None else memory_mib * 2**20
            reason = out_of_memory_reason(limit_bytes=limit, sample_bytes=0)
            return Lost(invocation.slot, invocation.attempt, reason, is_out_of_memory=True, log=log)
        return None

    def _started(self, recipe: Recipe, count: int) -> Container:
        """The container of a recipe, running, with somebody who ends it in time."""
        container = Container(self._place.engine, recipe)
        with self._lock:
            self._container = container
            ended_for = self._ended_for
        try:
            if ended_for is not None:
                raise EngineError("the run was cancelled.")
            container.start()
            while self._untold:
                invocation = self._untold.popleft()
                self._launcher._reports.put(Taken(invocation.slot, invocation.attempt, self._worker))  # noqa: SLF001
        except BaseException:
            self._over(container)
            raise
        if self._timeout_s is not None:
            is_python = isinstance(self._node, PackedCall)
            # The runtime in the container counts a task's time itself; this is for one that cannot any more.
            limit_s = (self._timeout_s + _START_S) * count if is_python else self._timeout_s
            self._timer = threading.Timer(limit_s, container.end, ("timeout",))
            self._timer.daemon = True
            self._timer.start()
        return container

    def _over(self, container: Container) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._container = None
        self._launcher._remove(container)  # noqa: SLF001  one module

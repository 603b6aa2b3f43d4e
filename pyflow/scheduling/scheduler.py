"""What may happen next: events in, commands out. No clock, no I/O, no randomness.

The same events give the same commands, so a run can be replayed from its record, and tests can drive
every corner without waiting for anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, cast

from pyflow.errors import PyflowError
from pyflow.packed import (
    PackedBranch,
    PackedCall,
    PackedContainer,
    PackedGraph,
    PackedMap,
    PackedOptions,
    PackedSelect,
    nodes_in,
    unequal_lengths,
)
from pyflow.scheduling.frame import Frame, MapState, State
from pyflow.scheduling.messages import (
    Advance,
    CancelRequested,
    Capacity,
    Command,
    Due,
    Ended,
    Event,
    Expand,
    Fail,
    Finish,
    Pause,
    Recalled,
    Skip,
    Slot,
    Start,
)
from pyflow.scheduling.plan import Step, lockstep_sources, make_plan

# How many tasks that do not fit are passed over in search of one that does; it bounds the cost of a decision.
_LOOK_AHEAD: Final = 64


class _Group:
    """Slots that run one after the other in one worker, and what they take from the capacity."""

    __slots__ = ("chain", "cpus", "memory_mib", "open")

    def __init__(self, options: PackedOptions, size: int) -> None:
        self.cpus = options.cpus
        self.memory_mib = options.memory_mib or 0
        self.open = size
        self.chain: list[str] = []
        """The slots that are to begin when the ones before them in this group have succeeded."""


class Scheduler:
    """Decides for one run of a packed graph.

    Call ``begin`` once, then ``handle`` for each event, and carry out the commands in their order.
    After ``Finish`` there are none.
    """

    def __init__(self, graph: PackedGraph, capacity: Capacity) -> None:
        self._options = graph.options
        self._fail_fast = graph.fail_fast
        self._capacity = capacity
        self._root = Frame(make_plan(graph), (), None)
        self._ready: deque[list[tuple[Frame, int]]] = deque()
        self._running: dict[str, tuple[Frame, int, _Group]] = {}
        self._pausing: dict[str, tuple[Frame, int]] = {}
        self._linked: set[tuple[Frame, int]] = set()
        """Steps that were started behind their predecessors, and that nobody waits for any more but them."""
        self._ended: deque[tuple[Frame, int, State]] = deque()
        self._cpus = 0.0
        self._memory_mib = 0.0
        self._tasks = 0
        self._large = 0
        self._advance = 0
        self._has_begun = False
        self._has_failed = False
        self._is_stopping = False
        self._is_finished = False
        self._commands: list[Command] = []

    def begin(self) -> list[Command]:
        """What to do first."""
        self._has_begun = True
        self._open_gate(self._root)
        return self._answer()

    def handle(self, event: Event) -> list[Command]:
        """What to do now that this has happened."""
        if isinstance(event, Advance):
            self._advance = event.tasks
            if not self._has_begun:
                return []
        elif isinstance(event, Ended):
            self._attempt_ended(event)
        elif isinstance(event, Due):
            frame, index = self._pausing.pop(event.slot, (None, 0))
            if frame is not None:
                self._ready.append([(frame, index)])
        elif isinstance(event, Recalled):
            self._recalled(event.slot)
        elif isinstance(event, CancelRequested):
            self._is_stopping = True
        return self._answer()

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more will start."""
        return self._is_stopping

    @property
    def running(self) -> Sequence[str]:
        """Slots that were started and have not ended."""
        return list(self._running)

    def _answer(self) -> list[Command]:
        self._settle()
        if self._is_stopping:
            self._pausing.clear()
        else:
            self._start_what_fits()
        if not self._running and not self._pausing and not self._is_finished and (self._is_stopping or not self._ready):
            self._finish()
        commands, self._commands = self._commands, []
        return commands

    def _finish(self) -> None:
        if self._root.open and not self._is_stopping:
            waiting = [
                s.node.name for s, state in zip(self._root.plan.steps, self._root.states, strict=True) if not state
            ]
            raise PyflowError(
                f"The scheduler has nothing to do, but these wait: {waiting}. This is an error in pyflow."
            )
        self._is_finished = True
        self._commands.append(Finish(is_success=self._root.open == 0 and not self._has_failed))

    # Starting

    def _start_what_fits(self) -> None:
        kept: list[list[tuple[Frame, int]]] = []
        while (
            self._ready
            and self._tasks < self._capacity.tasks
            and self._cpus < self._capacity.cpus
            and len(kept) < _LOOK_AHEAD
        ):
            members = self._ready.popleft()
            frame, index = members[0]
            group = _Group(self._options[_runnable(frame.plan.steps[index]).options], len(members))
            # Something always runs, so a task that asks for more than there is cannot wait forever.
            if self._tasks and not self._fits(group):
                kept.append(members)
                continue
            self._start(members, group)
        self._ready.extendleft(reversed(kept))
        # Beside a task that takes several processors a free worker is no free processor.
        while self._ready and self._advance and not self._large and self._tasks < self._capacity.cpus + self._advance:
            members = self._ready[0]
            frame, index = members[0]
            options = self._options[_runnable(frame.plan.steps[index]).options]
            if len(members) > 1 or options.cpus > 1 or options.memory_mib:
                break
            self._ready.popleft()
            self._start(members, _Group(options, 1), in_advance=True)

    def _fits(self, group: _Group) -> bool:
        return (
            self._cpus + group.cpus <= self._capacity.cpus + 1e-9
            and self._memory_mib + group.memory_mib <= self._capacity.memory_mib
        )

    def _successors(self, frame: Frame, index: int) -> list[tuple[Frame, int]]:
        """The steps that can be sent along with this one, because each waits for the one before it and nothing else.

        Whoever runs the one then goes on with the next, and does not wait until it has been told to.
        """
        found: list[tuple[Frame, int]] = []
        if frame.parent is not None and frame.parent.batch > 1:
            return found
        plan = frame.plan
        options = _runnable(plan.steps[index]).options
        while len(found) < self._advance and len(plan.followers[index]) == 1:
            (index,) = plan.followers[index]
            step = plan.steps[index]
            is_call = step.role == "run" and isinstance(step.node, PackedCall)
            is_alone = is_call and len(step.waits_for) == 1 and (frame, index) not in self._linked
            if not is_alone or _runnable(step).options != options:
                break
            found.append((frame, index))
        return found

    def _start(self, members: list[tuple[Frame, int]], group: _Group, *, in_advance: bool = False) -> None:
        if len(members) == 1 and self._advance and not in_advance:
            chain = self._successors(*members[0])
            self._linked.update(chain)
            members = [*members, *chain]
            group.open = len(members)
            group.chain = [str(Slot(frame.plan.steps[index].node, frame.indices)) for frame, index in chain]
        self._tasks += 1
        self._large += group.cpus > 1
        self._cpus += group.cpus
        self._memory_mib += group.memory_mib
        slots, attempts = [], []
        for frame, index in members:
            slot = Slot(frame.plan.steps[index].node, frame.indices)
            attempt = frame.attempts[index] = frame.attempts.get(index, 0) + 1
            self._running[str(slot)] = (frame, index, group)
            slots.append(slot)
            attempts.append(attempt)
        self._commands.append(Start(tuple(slots), tuple(attempts), in_advance))

    # Ending

    def _attempt_ended(self, event: Ended) -> None:
        group = self._running[event.slot][2]
        frame, index = self._release(event.slot)
        step = frame.plan.steps[index]
        if group.chain:
            self._go_on(group, has_succeeded=event.is_success)
        if event.is_success:
            if event.facts:
                frame.facts[step.node.id] = event.facts
            self._ended.append((frame, index, State.SUCCEEDED))
            return
        options = self._options[_runnable(step).options]
        attempt = frame.attempts[index]
        if event.is_retryable and attempt <= options.retries:
            # When the run is stopping it will not be made again, but it has not failed for good either.
            self._pausing[event.slot] = (frame, index)
            self._commands.append(Pause(Slot(step.node, frame.indices), options.backoff_s * 2 ** (attempt - 1)))
        else:
            self._fail(frame, index)

    def _release(self, slot: str) -> tuple[Frame, int]:
        frame, index, group = self._running.pop(slot)
        group.open -= 1
        if group.open == 0:
            self._tasks -= 1
            self._large -= group.cpus > 1
            self._cpus -= group.cpus
            self._memory_mib -= group.memory_mib
        return frame, index

    def _go_on(self, group: _Group, *, has_succeeded: bool) -> None:
        """The next slot of a chain has begun; or, behind a failure, none of them ever will."""
        if has_succeeded:
            group.chain.pop(0)
            return
        for slot in list(group.chain):
            self._recalled(slot)

    def _recalled(self, slot: str) -> None:
        """Back to the head of those that are ready, or to waiting for its predecessor: the attempt was none."""
        group = self._running[slot][2]
        frame, index = self._release(slot)
        frame.attempts[index] -= 1
        if slot in group.chain:
            group.chain.remove(slot)
        self._linked.discard((frame, index))
        if frame.states[index] == State.UNDER_WAY:
            self._ready.appendleft([(frame, index)])

    def _fail(self, frame: Frame, index: int) -> None:
        self._has_failed = True
        self._is_stopping = self._is_stopping or self._fail_fast
        self._ended.append((frame, index, State.FAILED))

    def _settle(self) -> None:
        """Carry each end on to those who wait for it, until nothing more follows."""
        while self._ended:
            frame, index, state = self._ended.popleft()
            frame.states[index] = state
            frame.open -= 1
            waiting = frame.waiting
            for follower in frame.plan.followers[index]:
                waiting[follower] -= 1
                if not waiting[follower]:
                    self._resolve(frame, follower)
            if not frame.open and frame.parent is not None:
                self._item_ended(frame, frame.parent)

    def _item_ended(self, frame: Frame, parent: MapState) -> None:
        item = frame.indices[-1]
        for waiter in parent.waiters:
            other = waiter.frames[item]
            other.is_spoilt = other.is_spoilt or not frame.has_succeeded
            self._open_gate(other)
        parent.open -= 1
        if parent.batch > 1:
            self._make_batch_ready(parent, item // parent.batch)
        self._end_map(parent)

    def _end_map(self, state: MapState) -> None:
        if state.open == 0 and state.frame.states[state.end_step] == State.UNDER_WAY:
            is_whole = all(frame.has_succeeded for frame in state.frames)
            self._ended.append((state.frame, state.end_step, State.SUCCEEDED if is_whole else State.CANCELLED))

    # Going on

    def _open_gate(self, frame: Frame) -> None:
        frame.gates -= 1
        if frame.gates:
            return
        for index in frame.plan.first:
            self._resolve(frame, index)
        if not frame.plan.steps and frame.parent is not None:
            self._item_ended(frame, frame.parent)

    def _resolve(self, frame: Frame, index: int) -> None:
        """All that a step waited for has ended: do it, or say why it will not be."""
        step = frame.plan.steps[index]
        verdict = _verdict(frame, step)
        if verdict is not None:
            if verdict is State.SKIPPED and step.role in {"run", "expand", "decide", "select"}:
                self._commands.append(Skip(Slot(step.node, frame.indices)))
            self._ended.append((frame, index, verdict))
            return
        frame.states[index] = State.UNDER_WAY
        if step.role == "run":
            self._make_ready(frame, index)
        elif step.role == "expand":
            self._expand(frame, index)
        elif step.role == "decide":
            node, fact = cast("PackedBranch", step.node).fact
            frame.sides[index] = bool(frame.facts[node][fact])
            self._ended.append((frame, index, State.SUCCEEDED))
        elif step.role == "map-end":
            self._end_map(frame.maps[step.node.id])
        elif step.role == "select":
            self._select(frame, index)
        else:
            self._ended.append((frame, index, State.SUCCEEDED))

    def _make_ready(self, frame: Frame, index: int) -> None:
        parent = frame.parent
        if (frame, index) in self._linked:
            self._linked.remove((frame, index))  # it has been started behind the one that has just ended
        elif parent is None or parent.batch == 1:
            self._ready.append([(frame, index)])
        else:
            parent.ready.setdefault(frame.indices[-1] // parent.batch, []).append((frame, index))
            self._make_batch_ready(parent, frame.indices[-1] // parent.batch)

    def _make_batch_ready(self, parent: MapState, number: int) -> None:
        """Hand on the items of a batch once each of them waits or will never come."""
        waiting = parent.ready.get(number, [])
        members = parent.frames[number * parent.batch : (number + 1) * parent.batch]
        if waiting and len(waiting) == sum(f.open > 0 for f in members):
            del parent.ready[number]
            self._ready.append(sorted(waiting, key=lambda member: member[0].indices))

    def _select(self, frame: Frame, index: int) -> None:
        node = cast("PackedSelect", frame.plan.steps[index].node)
        for candidate in node.candidates:
            if all(frame.states[frame.plan.end_of[n]] == State.SUCCEEDED for n in nodes_in(candidate)):
                break
        else:
            if not node.has_default:
                self._commands.append(Fail(Slot(node, frame.indices), node.none_made))
                self._fail(frame, index)
                return
        self._ended.append((frame, index, State.SUCCEEDED))

    # Maps

    def _expand(self, frame: Frame, index: int) -> None:
        node = cast("PackedMap", frame.plan.steps[index].node)
        slot = Slot(node, frame.indices)
        counts = [self._count(frame, i["value"]) for i in node.inputs if i["each"]]
        if len(set(counts)) > 1:
            reason = unequal_lengths(node, counts)
            self._commands.append(Fail(slot, reason))
            frame.maps[node.id] = MapState(frame, frame.plan.end_of[node.id], node.batch)
            self._fail(frame, index)
            return
        self._commands.append(Expand(slot, counts[0]))
        body = frame.plan.bodies[node.id]
        state = MapState(frame, frame.plan.end_of[node.id], node.batch)
        state.frames = [Frame(body, (*frame.indices, item), state) for item in range(counts[0])]
        state.open = counts[0]
        frame.maps[node.id] = state
        self._ended.append((frame, index, State.SUCCEEDED))
        for source in lockstep_sources(node):
            self._follow(frame.maps[source], state)
        for item in state.frames:
            self._open_gate(item)

    def _follow(self, source: MapState, state: MapState) -> None:
        """Let each item of a map wait for the same item of another map."""
        source.waiters.append(state)
        for item, made in zip(state.frames, source.frames, strict=True):
            if made.open:
                item.gates += 1
            else:
                item.is_spoilt = item.is_spoilt or not made.has_succeeded

    def _count(self, frame: Frame, value: dict[str, object]) -> int:
        if "sequence" in value:
            return int(cast("dict[str, int]", value["sequence"])["length"])
        if "list" in value:
            return len(cast("list[object]", value["list"]))
        if "items" in value:
            node, fact = cast("list[int]", value["items"])
            return int(frame.facts[node][fact]["length"])
        return len(frame.maps[cast("int", value["ref"])].frames)


def _verdict(frame: Frame, step: Step) -> State | None:
    """Why a step will not be done; None when it will."""
    states = frame.states
    if frame.is_spoilt:
        return State.CANCELLED
    if not step.waits_for:
        return None
    if step.guard is not None:
        decision, side = step.guard
        if states[decision] != State.SUCCEEDED:
            return State.SKIPPED if states[decision] == State.SKIPPED else State.CANCELLED
        if frame.sides[decision] is not side:
            return State.SKIPPED
    if any(states[other] >= State.CANCELLED for other in step.waits_for):
        return State.CANCELLED
    if any(states[other] == State.SKIPPED for other in step.needs_success):
        return State.CANCELLED
    if step.role in {"map-end", "branch-end"} and states[next(iter(step.waits_for))] == State.SKIPPED:
        return State.SKIPPED
    return None


def _runnable(step: Step) -> PackedCall | PackedContainer:
    return cast("PackedCall | PackedContainer", step.node)

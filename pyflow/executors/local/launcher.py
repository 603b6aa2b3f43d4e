"""Runs invocations in a pool of workers: who has which, how long, and what it means when one ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from pyflow.contract import Invocation, Outcome
from pyflow.executors.launcher import Finished, Lost, Report, Returned, Taken
from pyflow.executors.local.backlog import MOST_PACKETS, has_backlogs
from pyflow.executors.local.pool import POOLS
from pyflow.executors.local.worker import Kind, Worker
from pyflow.runtime import what_ended
from pyflow.secrecy import Masker
from pyflow.store import ContentStore

GRACE_S: Final = 2.0
"""How long a task may clean up when it is ended."""

_LIMBO_S: Final = 5.0
"""How long a live worker may take to tell that it has taken something from the backlog."""


_ENOUGH: Final = 64
"""So many are handed out at once, while more are being decided on."""


class PoolLauncher:
    """Runs invocations in worker processes of this machine.

    Args:
        kind: What the workers must be like.
        content: The store of the run.
        room: How many tasks may run at once, if each takes one processor.
        masker: Hides what is secret in what a dead worker had printed; the live ones do so themselves.
    """

    def __init__(self, kind: Kind, content: ContentStore, *, room: int, masker: Masker | None = None) -> None:
        self._masker = masker or Masker()
        self._room = room
        self._pool = POOLS.take(kind)
        self._content = content
        self._unsent: list[tuple[Worker, Sequence[Invocation]]] = []
        self._limbo_until: float | None = None
        self._reports: list[Report] = []
        self._under_way: set[str] = set()
        """The workers that have ended something of this run: the first time in each says more of loading than of the task."""

    @property
    def in_advance(self) -> int:
        """As many as the pace asks for, where the system can share them out, and no more workers stand by than may run."""
        can_share = has_backlogs() and len(self._pool.workers) <= self._room
        return min(self._pool.pace.in_advance, MOST_PACKETS) if can_share else 0

    def launch(self, invocations: Sequence[Invocation], timeout_s: float | None, *, in_advance: bool) -> str | None:
        """Give these to a free worker, to a new one, or in advance to the backlog."""
        # While something waits in the backlog, free workers are about to take it: what comes later goes behind it.
        backlog = self._pool.backlog
        if (in_advance or len(backlog)) and backlog.put(invocations, timeout_s):
            if backlog.unsent >= _ENOUGH:
                self._send()
            return None
        return self._give(invocations, timeout_s)

    def _give(self, invocations: Sequence[Invocation], timeout_s: float | None) -> str:
        """Let one worker have these."""
        worker = self._pool.free_worker()
        worker.take(invocations, timeout_s)
        self._unsent.append((worker, invocations))
        return worker.name

    def wait(self, timeout_s: float | None) -> list[Report]:
        """What has ended, as soon as something has."""
        self._send()
        reports, self._reports = self._reports, []
        for fd, _ in self._pool.poll.poll(0 if reports else self.patience_ms(timeout_s)):
            reports += self._reports_of(self._pool.workers[fd])
        now = time.monotonic()
        for worker in [w for w in self._pool.workers.values() if w.deadline is not None and w.deadline <= now]:
            if worker.kill_at is not None:
                worker.kill()
            else:
                worker.end("timeout", GRACE_S)
        if self._limbo_until is not None and now >= self._limbo_until:
            reports += self._give_up_limbo()
        return reports

    def recall(self) -> list[str]:
        """Take back what no worker has begun with, and ask for what waits behind something that one is at."""
        for worker in self._pool.workers.values():
            worker.ask_back()
        return [waiting.invocation.slot for waiting in self._pool.backlog.take_back()]

    def end(self, slots: Sequence[str]) -> None:
        """End the workers that run these."""
        wanted = set(slots)
        for worker in self._pool.workers.values():
            if any(invocation.slot in wanted for invocation in worker.queue):
                worker.end("cancelled", GRACE_S)

    def close(self) -> None:
        """End what still runs; keep the rest for the next run."""
        POOLS.give_back(self._pool)

    def _send(self) -> None:
        # Sending wakes a worker, which then often gets this processor; so whoever launches has done all
        # else before that, and only waits afterwards. It saves a third of the time of a chain of small tasks.
        unsent, self._unsent = self._unsent, []
        for worker, invocations in unsent:
            worker.send(invocations)
        self._pool.backlog.send()

    @property
    def fds(self) -> list[int]:
        """The descriptors that become readable when there is something to report."""
        return list(self._pool.workers)

    def patience_ms(self, timeout_s: float | None) -> int | None:
        """How long to wait for them at most: until the time is up, or something must be done about a worker."""
        now = time.monotonic()
        patience = [] if timeout_s is None else [timeout_s]
        patience += [w.deadline - now for w in self._pool.workers.values() if w.deadline is not None]
        if self._limbo_until is not None:
            patience.append(self._limbo_until - now)
        # Rounded up: a poll that ends a little early would spin until the deadline.
        return max(0, int(min(patience) * 1000) + 1) if patience else None

    def _reports_of(self, worker: Worker) -> list[Report]:
        reports: list[Report] = []
        for told in worker.read():
            if told.outcome is not None:
                reports += self._end_of(worker, told.outcome, has_dropped=told.has_dropped)
            if told.slot is not None:
                waiting = self._pool.backlog.taken(told.slot, told.attempt)
                if waiting is None:
                    # It was so slow to tell that the slot was reported as lost: nobody waits for what it does.
                    worker.kill()
                    break
                worker.found(waiting)
                reports.append(Taken(told.slot, told.attempt, worker.name))
        if worker.is_over:
            reports += self._lost(worker)
        elif worker.is_accounted:
            # It must not go on with another item while it is being ended; its end gives that one back.
            worker.kill()
        elif not worker.queue and not worker.is_clean:
            self._pool.remove(worker)
            self._replace()
        return reports

    def _end_of(self, worker: Worker, outcome: Outcome, *, has_dropped: bool) -> list[Report]:
        """What an outcome means for its invocation, and for the chain that this may be a part of."""
        is_of_chain = worker.next_of_chain() is not None
        report = self._judge(worker, worker.done(), outcome)
        following = worker.next_of_chain()
        if not is_of_chain or following is None:
            return [report]
        if not outcome.is_committed:
            worker.leave_chain()
            return [report]
        if has_dropped or worker.ending is not None:
            return [report, *(Returned(invocation.slot) for invocation in worker.leave_chain())]
        return [report, Taken(following.slot, following.attempt, worker.name)]

    def _judge(self, worker: Worker, invocation: Invocation, outcome: Outcome) -> Report:
        """What an outcome means: one that came of being ended is not the task's own."""
        if worker.name in self._under_way:
            self._pool.pace.note(outcome.duration_s)
        self._under_way.add(worker.name)
        if outcome.is_committed and worker.ending == "timeout":
            # It made it at the last moment. What the worker has begun with since does not end for it.
            worker.is_accounted = True
        if worker.ending is None or outcome.is_committed:
            return Finished(outcome)
        log = (outcome.log.writer, outcome.log.start, outcome.log.end) if outcome.log is not None else None
        return _ended_by_us(worker, invocation, log)

    def _lost(self, worker: Worker) -> list[Report]:
        """A worker's end: what it was at is lost, and what waited behind that starts anew."""
        if worker.next_of_chain() is not None and not worker.is_accounted:
            # What waits behind the one that is lost now will not be, and nobody asks for it.
            current = worker.queue.popleft()
            worker.leave_chain()
            worker.queue.appendleft(current)
        queue = list(worker.queue)
        log = self._save_log(worker, queue[0]) if queue else None
        # Its outcomes can end a moment before the process does, and only then is it known how.
        return_code = worker.wait_for_exit(GRACE_S)
        buried = self._pool.remove(worker)
        if len(self._pool.backlog):
            # It may have taken something without having told.
            self._limbo_until = time.monotonic() + _LIMBO_S
            self._replace()
        if worker.ending == "cancelled":
            following = worker.leave_chain()[1:]
            queue = [invocation for invocation in queue if invocation not in following]
            return [_cancelled(invocation, log if i == 0 else None) for i, invocation in enumerate(queue)]
        reports: list[Report] = []
        if queue and not worker.is_accounted:
            current = queue.pop(0)
            if worker.ending == "timeout":
                reports.append(_ended_by_us(worker, current, log))
            else:
                reason = what_ended(buried if return_code is None else return_code)
                reports.append(Lost(current.slot, current.attempt, reason, log=log))
        if queue:
            self._give(queue, worker.given_timeout_s)
        return reports

    def _replace(self) -> None:
        """See that somebody is there to take what waits in the backlog."""
        if len(self._pool.backlog):
            self._pool.add_worker()

    def _give_up_limbo(self) -> list[Report]:
        """What some dead worker took and never told of. All live ones have told by now."""
        self._limbo_until = None
        waiting = self._pool.backlog.take_back()
        lost = self._pool.backlog.give_up()
        for other in waiting:
            self.launch([other.invocation], other.timeout_s, in_advance=True)
        reason = "its worker process ended before it told that it had begun."
        return [Lost(w.invocation.slot, w.invocation.attempt, reason) for w in lost]

    def _save_log(self, worker: Worker, invocation: Invocation) -> tuple[str, int, int] | None:
        """Keep what a dead worker had printed and not shipped."""
        key = self._content.keys.log(invocation.run_id, worker.name)
        logs = self._content.blobs.logs(key.rpartition("/")[0])
        size = next((info.size_bytes for info in logs if info.key == key), 0)
        start, rest = worker.rest_of_log(size)
        if rest:
            self._content.blobs.append(key, self._masker.hide(rest))
        end = size + len(rest)
        return (worker.name, start, end) if end > start else None


def _ended_by_us(worker: Worker, invocation: Invocation, log: tuple[str, int, int] | None) -> Lost:
    worker.is_accounted = True
    if worker.ending == "cancelled":
        return _cancelled(invocation, log)
    reason = f"it ran longer than its timeout of {worker.timeout_s:g} s."
    return Lost(invocation.slot, invocation.attempt, reason, is_timeout=True, log=log)


def _cancelled(invocation: Invocation, log: tuple[str, int, int] | None = None) -> Lost:
    return Lost(invocation.slot, invocation.attempt, "the run was cancelled.", log=log)

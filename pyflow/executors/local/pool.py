"""A pool of worker processes: fast to start, isolated from the caller, and never left behind.

Workers that are idle when a run ends are kept for the next run of the same code, as long as the caller
lives. They find out by themselves when it does not.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
import time
from collections.abc import Sequence
from typing import Final

from pyflow.contract import Invocation, Outcome
from pyflow.executors.launcher import Finished, Lost, Report
from pyflow.executors.local.processes import what_ended
from pyflow.executors.local.worker import Kind, Worker
from pyflow.store import ContentStore

GRACE_S: Final = 2.0
"""How long a task may clean up when it is ended."""

_MOST_IDLE: Final = max(4, os.cpu_count() or 1)


class _IdleWorkers:
    """Workers that wait for another run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: list[Worker] = []

    def take(self, kind: Kind) -> Worker | None:
        """A worker of this kind that is alive, if there is one."""
        with self._lock:
            for worker in [w for w in self._workers if w.kind == kind]:
                self._workers.remove(worker)
                if worker.wait_for_exit(0) is None:
                    return worker
                worker.bury()
        return None

    def keep(self, workers: Sequence[Worker]) -> None:
        """Keep these; the ones that waited longest go when there are too many."""
        with self._lock:
            self._workers += workers
            surplus, self._workers = self._workers[:-_MOST_IDLE], self._workers[-_MOST_IDLE:]
        for worker in surplus:
            worker.bury()

    def end_all(self) -> None:
        """End all of them."""
        with self._lock:
            workers, self._workers = self._workers, []
        for worker in workers:
            worker.bury()

    def forget(self) -> None:
        """In the child of a fork: the workers are the parent's."""
        self.__init__()  # type: ignore[misc]


_idle = _IdleWorkers()
atexit.register(_idle.end_all)
os.register_at_fork(after_in_child=_idle.forget)


class PoolLauncher:
    """Runs invocations in worker processes of this machine; as many at once as are launched."""

    def __init__(self, kind: Kind, content: ContentStore) -> None:
        self._kind = kind
        self._content = content
        self._free: list[Worker] = []
        self._busy: dict[int, Worker] = {}
        self._poll = select.poll()

    def launch(self, invocations: Sequence[Invocation], timeout_s: float | None) -> str:
        """Give these to a free worker, or to a new one."""
        worker = self._free.pop() if self._free else _idle.take(self._kind) or Worker(self._kind)
        worker.give(invocations, timeout_s)
        self._busy[worker.outcomes_fd] = worker
        self._poll.register(worker.outcomes_fd, select.POLLIN | select.POLLHUP)
        return worker.name

    def wait(self, timeout_s: float | None) -> list[Report]:
        """What has ended, as soon as something has."""
        reports: list[Report] = []
        for fd, _ in self._poll.poll(self._patience_ms(timeout_s)):
            reports += self._reports_of(self._busy[fd])
        now = time.monotonic()
        for worker in [w for w in self._busy.values() if w.deadline is not None and w.deadline <= now]:
            if worker.kill_at is not None:
                worker.kill()
            else:
                worker.end("timeout", GRACE_S)
        return reports

    def end(self, slots: Sequence[str]) -> None:
        """End the workers that run these."""
        wanted = set(slots)
        for worker in self._busy.values():
            if any(invocation.slot in wanted for invocation in worker.queue):
                worker.end("cancelled", GRACE_S)

    def close(self) -> None:
        """End what still runs; keep the rest for the next run."""
        for worker in self._busy.values():
            worker.bury()
        self._busy.clear()
        _idle.keep(self._free)
        self._free = []

    def _patience_ms(self, timeout_s: float | None) -> int | None:
        deadlines = [w.deadline - time.monotonic() for w in self._busy.values() if w.deadline is not None]
        if timeout_s is not None:
            deadlines.append(timeout_s)
        # Rounded up: a poll that ends a little early would spin until the deadline.
        return max(0, int(min(deadlines) * 1000) + 1) if deadlines else None

    def _reports_of(self, worker: Worker) -> list[Report]:
        reports: list[Report] = []
        before = list(worker.queue)
        for invocation, outcome in zip(before, worker.read(), strict=False):
            reports.append(self._judge(worker, invocation, outcome))
        if worker.is_over:
            return reports + self._lost(worker)
        if not worker.queue:
            self._retire(worker)
            if worker.is_clean and worker.ending is None:
                self._free.append(worker)
            else:
                worker.bury()
        elif worker.is_accounted:
            # It must not go on with the next item while it is being ended; its end gives that one back.
            worker.kill()
        return reports

    def _judge(self, worker: Worker, invocation: Invocation, outcome: Outcome) -> Report:
        """What an outcome means: one that came of being ended is not the task's own."""
        if worker.ending is None or outcome.is_committed:
            return Finished(outcome)
        log = (outcome.log.writer, outcome.log.start, outcome.log.end) if outcome.log is not None else None
        return _ended_by_us(worker, invocation, log)

    def _lost(self, worker: Worker) -> list[Report]:
        """A worker's end: what it was at is lost, and what waited behind that starts anew."""
        self._retire(worker)
        if not worker.queue:
            worker.bury()
            return []
        current, *rest = worker.queue
        if worker.ending == "timeout" and worker.is_accounted:
            worker.bury()
            self.launch([current, *rest], worker.timeout_s)
            return []
        log = self._save_log(worker, current)
        # Its outcomes can end a moment before the process does, and only then is it known how.
        return_code = worker.wait_for_exit(GRACE_S)
        buried = worker.bury()
        if worker.ending == "cancelled":
            return [_ended_by_us(worker, current, log), *(_ended_by_us(worker, i, None) for i in rest)]
        if rest:
            self.launch(rest, worker.timeout_s)
        if worker.ending == "timeout":
            return [_ended_by_us(worker, current, log)]
        reason = what_ended(buried if return_code is None else return_code)
        return [Lost(current.slot, current.attempt, reason, log=log)]

    def _retire(self, worker: Worker) -> None:
        self._poll.unregister(worker.outcomes_fd)
        del self._busy[worker.outcomes_fd]

    def _save_log(self, worker: Worker, invocation: Invocation) -> tuple[str, int, int] | None:
        """Keep what a dead worker had printed and not shipped."""
        key = self._content.keys.log(invocation.run_id, worker.name)
        info = self._content.blobs.info(key)
        start, rest = worker.rest_of_log(info.size_bytes if info is not None else 0)
        if rest:
            self._content.blobs.append(key, rest)
        end = (info.size_bytes if info is not None else 0) + len(rest)
        return (worker.name, start, end) if end > start else None


def _ended_by_us(worker: Worker, invocation: Invocation, log: tuple[str, int, int] | None) -> Lost:
    worker.is_accounted = True
    is_timeout = worker.ending == "timeout"
    reason = f"it ran longer than its timeout of {worker.timeout_s:g} s." if is_timeout else "the run was cancelled."
    return Lost(invocation.slot, invocation.attempt, reason, is_timeout=is_timeout, log=log)

"""A pool of worker processes: fast to start, isolated from the caller, and never left behind.

A pool outlives the run it was made for: the next run of the same code finds its workers warm. It ends
with the caller, however the caller ends: the workers find that out by themselves.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
from typing import Final

from pyflow.executors.local.backlog import Backlog
from pyflow.executors.local.pace import Pace
from pyflow.executors.local.worker import Kind, Worker

_MOST_IDLE_WORKERS: Final = os.cpu_count() or 1
_MOST_IDLE_POOLS: Final = 4


class Pool:
    """Workers of one kind, and the backlog that they share."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.backlog = Backlog()
        self.pace = Pace()
        self.workers: dict[int, Worker] = {}
        """All of them, by the descriptor that they tell outcomes through."""
        self.poll = select.poll()

    def free_worker(self) -> Worker:
        """One that has nothing to do, made now if there is none."""
        for worker in self.workers.values():
            if not worker.queue and worker.ending is None:
                return worker
        return self.add_worker()

    def add_worker(self) -> Worker:
        """One more worker."""
        worker = Worker(self.kind, self.backlog.read_fd)
        self.workers[worker.outcomes_fd] = worker
        self.poll.register(worker.outcomes_fd, select.POLLIN | select.POLLHUP)
        return worker

    def remove(self, worker: Worker) -> int:
        """End a worker, and answer its return code."""
        self.poll.unregister(worker.outcomes_fd)
        del self.workers[worker.outcomes_fd]
        return worker.bury()

    def tidy(self) -> None:
        """Between two runs: end the workers that are busy, dead or too many, and forget what waits."""
        self.backlog.take_back()
        has_limbo = bool(self.backlog.give_up())
        idle = [w for w in self.workers.values() if not w.queue and w.wait_for_exit(0) is None and not has_limbo]
        for worker in set(self.workers.values()) - set(idle[:_MOST_IDLE_WORKERS]):
            self.remove(worker)

    def close(self) -> None:
        """End all workers."""
        for worker in list(self.workers.values()):
            self.remove(worker)
        self.backlog.close()


class _Pools:
    """The pools that no run uses at the moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Pool] = []

    def take(self, kind: Kind) -> Pool:
        """A pool of this kind, for one run."""
        with self._lock:
            for pool in self._idle:
                if pool.kind == kind:
                    self._idle.remove(pool)
                    return pool
        return Pool(kind)

    def give_back(self, pool: Pool) -> None:
        """Keep a pool for another run; the one that was kept longest goes when there are too many."""
        pool.tidy()
        with self._lock:
            self._idle.append(pool)
            surplus, self._idle = self._idle[:-_MOST_IDLE_POOLS], self._idle[-_MOST_IDLE_POOLS:]
        for other in surplus:
            other.close()

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            pools, self._idle = self._idle, []
        for pool in pools:
            pool.close()

    def forget(self) -> None:
        """In the child of a fork: the workers are the parent's."""
        self._lock = threading.Lock()
        self._idle = []


POOLS: Final = _Pools()
atexit.register(POOLS.close)
os.register_at_fork(after_in_child=POOLS.forget)

"""A launcher for tasks with different packages: a pool of workers for each of them, so that two never share a process."""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence

from pyflow.contract import Invocation
from pyflow.executors.launcher import Report
from pyflow.executors.local.launcher import PoolLauncher
from pyflow.packed import PackedCall, PackedGraph


class SeveralPools:
    """Runs each invocation in the pool of its packages.

    Args:
        graph: Whose invocations they are.
        open_pool: Makes the launcher for packages with that digest, empty for those that are installed here.
    """

    def __init__(self, graph: PackedGraph, open_pool: Callable[[str], PoolLauncher]) -> None:
        self._packages_of = packages_by_node(graph)
        self._open_pool = open_pool
        self._pools: dict[str, PoolLauncher] = {}

    @property
    def in_advance(self) -> int:
        """None: who is free first says nothing about whose packages the next task needs."""
        return 0

    def launch(self, invocations: Sequence[Invocation], timeout_s: float | None, *, in_advance: bool) -> str | None:
        """Give these, all of one node, to a worker with its packages."""
        packages = self._packages_of[invocations[0].node]
        if packages not in self._pools:
            self._pools[packages] = self._open_pool(packages)
        return self._pools[packages].launch(invocations, timeout_s, in_advance=in_advance)

    def wait(self, timeout_s: float | None) -> list[Report]:
        """What has ended in any of them, as soon as something has."""
        reports = self._look()
        if reports:
            return reports
        poll = select.poll()
        for pool in self._pools.values():
            for fd in pool.fds:
                poll.register(fd, select.POLLIN | select.POLLHUP)
        patience = [ms for pool in self._pools.values() if (ms := pool.patience_ms(timeout_s)) is not None]
        poll.poll(min(patience, default=0 if timeout_s is None else int(timeout_s * 1000) + 1))
        return self._look()

    def _look(self) -> list[Report]:
        return [report for pool in self._pools.values() for report in pool.wait(0)]

    def recall(self) -> list[str]:
        """What no worker has begun with."""
        return [slot for pool in self._pools.values() for slot in pool.recall()]

    def end(self, slots: Sequence[str]) -> None:
        """End the workers that run these."""
        for pool in self._pools.values():
            pool.end(slots)

    def close(self) -> None:
        """End what still runs; keep the rest for the next run."""
        for pool in self._pools.values():
            pool.close()


def packages_by_node(graph: PackedGraph) -> dict[int, str]:
    """For each node that runs, the digest of its packages; empty where it takes what is installed."""
    environments = {n.id: graph.options[n.options].environment for n in graph.walk_all() if isinstance(n, PackedCall)}
    return {node: "" if found is None else found["digest"] for node, found in environments.items()}

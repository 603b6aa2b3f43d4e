"""The executors that schedule for themselves: the same driver, and a launcher for each place."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyflow.environments import unpacked
from pyflow.executors.carrying import carry_out
from pyflow.executors.containers import Beside, OpenContainers
from pyflow.executors.driver import Ending, Job
from pyflow.executors.inprocess import InprocessLauncher
from pyflow.executors.interrupts import counted_interrupts
from pyflow.executors.launcher import Launcher
from pyflow.executors.local.launcher import PoolLauncher
from pyflow.executors.local.several import SeveralPools, packages_by_node
from pyflow.executors.local.worker import Kind
from pyflow.executors.support import (
    check_options,
    check_size,
    machine_cpus,
    machine_memory_mib,
    secrets_of,
)
from pyflow.packed import PackedGraph
from pyflow.runtime import surroundings
from pyflow.scheduling import Capacity
from pyflow.secrecy import Masker, SecretFinder


@dataclass(slots=True)
class InprocessExecutor:
    """Tasks run in the caller's process, one after the other."""

    secrets: SecretFinder
    open_containers: OpenContainers
    name: str = "inprocess"
    _containers: Beside | None = None

    def check(self, graph: PackedGraph) -> None:
        """Refuse what cannot be honoured, before anything runs."""
        check_options(graph, self.name)
        secrets_of(graph, self.secrets)
        self._containers = self.open_containers(graph)

    def run(self, job: Job) -> Ending:
        """Carry the run out; returns when nothing of it runs any more."""
        job = replace(job, capacity=Capacity(cpus=float("inf"), tasks=1))
        with counted_interrupts(ends_runs=True) as interrupts:
            launcher: Launcher = InprocessLauncher(job.content, interrupts)
            if self._containers is not None:
                launcher = self._containers.launcher(job, launcher)
            return carry_out(job, launcher, interrupts)


@dataclass(slots=True)
class LocalExecutor:
    """Tasks run in a pool of worker processes of this machine."""

    secrets: SecretFinder
    open_containers: OpenContainers
    name: str = "local"
    _containers: Beside | None = None

    def check(self, graph: PackedGraph) -> None:
        """Refuse what cannot be honoured, before anything runs."""
        check_size(graph, cpus=machine_cpus(), memory_mib=machine_memory_mib())
        check_options(graph, self.name)
        secrets_of(graph, self.secrets)
        self._containers = self.open_containers(graph)

    def run(self, job: Job) -> Ending:
        """Carry the run out; returns when nothing of it runs any more."""
        tasks = min(job.capacity.tasks, job.graph.parallelism or float("inf"))
        job = replace(job, capacity=Capacity(cpus=machine_cpus(), memory_mib=machine_memory_mib(), tasks=tasks))
        masker = Masker(secrets_of(job.graph, self.secrets))
        with counted_interrupts(ends_runs=True) as interrupts:
            launcher = _pools_for(job, room=int(min(machine_cpus(), tasks)), masker=masker)
            if self._containers is not None:
                launcher = self._containers.launcher(job, launcher)
            return carry_out(job, launcher, interrupts)


def _pools_for(job: Job, *, room: int, masker: Masker) -> Launcher:
    """A pool of workers, or several where tasks have different packages."""
    # Before the first task starts, so that no task's time runs meanwhile, and a full disk is found out here.
    asked = {o.environment["digest"]: o.environment for o in job.graph.options if o.environment}
    for packages in asked.values():
        unpacked(packages, job.content)
    code = job.graph.code["digest"] if job.graph.code is not None else ""

    def open_pool(packages: str) -> PoolLauncher:
        kind = Kind(code, *surroundings(), packages)
        return PoolLauncher(kind, job.content, room=room, masker=masker)

    if not asked:
        return open_pool("")
    different = set(packages_by_node(job.graph).values())
    return SeveralPools(job.graph, open_pool) if len(different) > 1 else open_pool("".join(different))

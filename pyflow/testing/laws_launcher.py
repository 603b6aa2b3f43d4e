"""What every launcher must do, as functions that try it.

Each law takes a ``Pad``: a launcher that is new, and a way to make invocations of a small graph for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from pyflow.api import pipeline
from pyflow.contract import ExitCode, Home, Invocation
from pyflow.executors import Finished, Launcher, Lost, Report
from pyflow.packing import pack
from pyflow.runs import new_run_id
from pyflow.store import ContentStore
from pyflow.testing.claims import holds, same
from pyflow.tracing import task


@task
def double(x: int) -> int:
    return 2 * x


@task
def fail(x: int) -> int:
    raise ValueError(x)


@task
def nap(x: float) -> float:
    print("napping", flush=True)
    time.sleep(x)
    return x


@task(timeout=3)
def short_nap(x: float) -> float:
    time.sleep(x)
    return x


@pipeline(name="pad")
def body() -> list[list[float]]:
    """Maps, so that each item is a slot of its own."""
    naps = [nap.map([0.0, 600.0]), short_nap.map([600.0, 0.0])]
    return [double.map(range(10)), fail.map(range(3)), *naps]  # type: ignore[list-item]


class Pad:
    """A launcher under trial, and invocations for it.

    Args:
        make_launcher: Makes the launcher, given the store of the run.
        content: A store that is new and empty.
        home: The same, as invocations name it.
        has_processes: Tasks run in processes that can be ended from outside, side by side.
    """

    def __init__(
        self,
        make_launcher: Callable[[ContentStore], Launcher],
        content: ContentStore,
        home: Home,
        *,
        has_processes: bool,
    ) -> None:
        self.content = content
        self.launcher = make_launcher(content)
        self.has_processes = has_processes
        self._home = home
        self._packed = pack(body.trace(), content)
        self.run_id = new_run_id("pad", time.time())
        names = {node.name: node.id for node in self._packed.graph.walk()}
        self._node_by_name = {name: names[name] for name in ("double", "fail", "nap", "short_nap")}

    def invocations(self, name: str, *items: int) -> list[Invocation]:
        """Invocations of some items of one of the maps."""
        return [
            Invocation(
                home=self._home,
                run_id=self.run_id,
                graph_digest=self._packed.digest,
                graph_size=self._packed.size_bytes,
                node=self._node_by_name[name],
                indices=(item,),
                nonce=os.urandom(6).hex(),
            )
            for item in items
        ]

    def committed(self, slot: str) -> bytes | None:
        """The record that holds for a slot."""
        return self.content.commits(self.run_id, self._packed.digest).committed(slot)

    def reports(self, count: int, *, timeout_s: float = 120) -> list[Finished | Lost]:
        """Wait for so many ends."""
        found: list[Finished | Lost] = []
        end = time.monotonic() + timeout_s
        while len(found) < count:
            holds(time.monotonic() < end, f"{count} ends are reported; so far there are {found}")
            found += [report for report in self.launcher.wait(0.2) if isinstance(report, (Finished, Lost))]
        return found


LauncherLaw: TypeAlias = Callable[[Pad], None]


def each_invocation_ends_once(pad: Pad) -> None:
    """Every invocation that was launched is reported exactly once, with its outcome."""
    for item in range(10):
        pad.launcher.launch(pad.invocations("double", item), None, in_advance=False)
    reports = pad.reports(10)
    same(sorted(_slots(reports)), sorted(i.slot for i in pad.invocations("double", *range(10))), "slots")
    results = {report.outcome.result["json"] for report in reports if isinstance(report, Finished)}
    same(results, {2 * item for item in range(10)}, "results")
    same(pad.launcher.wait(0), [], "what is reported afterwards")


def several_run_one_after_the_other(pad: Pad) -> None:
    """Invocations that are launched together end in their order, and one that fails does not stop the rest."""
    several = pad.invocations("double", 3, 1, 2)
    pad.launcher.launch(several, None, in_advance=False)
    same(_slots(pad.reports(3)), [i.slot for i in several], "the order of the ends")
    pad.launcher.launch(pad.invocations("fail", 0, 1, 2), None, in_advance=False)
    codes = [report.outcome.exit_code for report in pad.reports(3) if isinstance(report, Finished)]
    same(codes, [int(ExitCode.TASK_RAISED)] * 3, "exit codes")


def what_is_finished_is_committed(pad: Pad) -> None:
    """An outcome is in the store when it is reported, and an invocation of the same slot is answered with it."""
    for _ in range(2):
        pad.launcher.launch(pad.invocations("double", 4), None, in_advance=False)
        (report,) = pad.reports(1)
        holds(isinstance(report, Finished) and report.outcome.is_committed, f"it is committed: {report}")
        record = pad.committed(_slots([report])[0])
        holds(record is not None, "the record is in the store")


def waiting_without_patience_answers_at_once(pad: Pad) -> None:
    """``wait(0)`` with nothing launched gives nothing."""
    same(pad.launcher.wait(0), [], "the reports")


def what_is_ended_is_lost(pad: Pad) -> None:
    """``end`` ends what runs, and it is reported as lost, with what it had printed."""
    if not pad.has_processes:
        return
    pad.launcher.launch(pad.invocations("nap", 1), None, in_advance=False)
    pad.launcher.launch(pad.invocations("double", 1), None, in_advance=False)
    same(_slots(pad.reports(1)), [pad.invocations("double", 1)[0].slot], "who ends by itself")
    time.sleep(0.3)
    slots = [pad.invocations("nap", 1)[0].slot]
    pad.launcher.end(slots)
    (report,) = pad.reports(1)
    same((type(report), _slots([report])), (Lost, slots), "the report")


def time_limits_end_a_task(pad: Pad) -> None:
    """A task that takes longer than its limit is reported as lost to the limit; the next one in its place runs."""
    if not pad.has_processes:
        return
    pad.launcher.launch(pad.invocations("short_nap", 0, 1), 3, in_advance=False)
    first, second = pad.reports(2)
    holds(isinstance(first, Lost) and first.is_timeout and "3 s" in first.reason, f"the first one: {first}")
    holds(isinstance(second, Finished) and second.outcome.is_committed, f"the second one: {second}")


def closing_ends_everything(pad: Pad) -> None:
    """``close`` comes back soon, whatever runs."""
    if pad.has_processes:
        pad.launcher.launch(pad.invocations("nap", 1), None, in_advance=False)
        pad.launcher.wait(0.3)
    before = time.monotonic()
    pad.launcher.close()
    holds(time.monotonic() - before < 60, "it did not wait for what ran")


_LAWS: tuple[LauncherLaw, ...] = (
    each_invocation_ends_once,
    several_run_one_after_the_other,
    what_is_finished_is_committed,
    waiting_without_patience_answers_at_once,
    what_is_ended_is_lost,
    time_limits_end_a_task,
    closing_ends_everything,
)


def launcher_laws() -> tuple[LauncherLaw, ...]:
    """All laws, each with a sentence that says what it asks."""
    return _LAWS


def _slots(reports: Sequence[Report]) -> list[str]:
    return [report.outcome.slot if isinstance(report, Finished) else report.slot for report in reports]

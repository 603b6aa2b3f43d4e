#!/usr/bin/env python3
"""Runs on a cluster with Argo beside the same DAG written in Hera, whose pods run ``python -c pass`` in the same image.

    python benchmarks/cluster.py [--rounds 3] [--tasks 5] [--more 15] [--firsts 20]
    python benchmarks/cluster.py --first [--firsts 20]
    python benchmarks/cluster.py --wide 200 [--chunk 25] [--chunk 1] [--parallelism 20]
    python benchmarks/cluster.py --separate 1000 [--parallelism 20]

The settings are those of the folder that it is started in: ``[tool.pyflow]`` with a store in a bucket and ``[tool.pyflow.argo]``. The two take
turns, and the medians count; of the time to the first line the means of rounds that begin at any moment. For that one Kubernetes itself is asked
for logs, as ``KUBECONFIG`` says.
``--wide N`` runs a fan-out of N with so many items in each pod, once for each ``--chunk`` (0: as many as pyflow chooses), and nothing else;
``--separate N`` a pipeline of N calls, each a pod of its own, and one that joins them. Both say how large Argo's object got, beside the estimate before the run.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from math import inf
from statistics import mean, median
from typing import Any, Final, NamedTuple, TypeAlias

from hera.workflows import DAG, Container, Task, Workflow, WorkflowsService
from lightkube import Client

from pyflow import pipeline, task
from pyflow.api import Pipeline, open_workplace
from pyflow.config import Settings
from pyflow.executors.argo import ESTIMATE, ArgoSettings, argo_settings, open_cluster
from pyflow.executors.argo.workflow import FINAL, phase_of, pod_nodes

MOST_BESIDE_HERA = 1.2
MOST_TO_FIRST_LINE = 1.15
_LOOK_S = 0.2
Row: TypeAlias = "tuple[str, float, float, float]"
"""What was done, seconds of pyflow's and of Hera's, and the most that the first may be of the second."""
_LIMIT_S = 5400.0
_BYTES_WITHOUT_PODS: Final = 4096
"""What Argo writes into an object beside its manifest and its pods; of no weight where an estimate matters."""
_HEAD: Final = "| work | pods | pods a task | seconds | ms a task | object | estimate |\n|---|---|---|---|---|---|---|"


@task
def touch(x: int) -> int:
    """What takes no time."""
    return x


@task
def total(xs: list[int]) -> int:
    """The join."""
    return sum(xs)


@task
def now() -> float:
    """When the first line of the author's code runs."""
    return time.time()


@pipeline
def fan(count: int) -> Any:
    """Tasks side by side, and one behind them."""
    return total([touch(x) for x in range(count)])


@pipeline
def chain(count: int) -> Any:
    """Tasks one after another, each handed the value before it."""
    value = 1
    for _ in range(count):
        value = touch(value)
    return value


@pipeline
def wide(count: int, batch: int) -> Any:
    """A map, with so many items in each pod; 0: as many as pyflow chooses."""
    return total((touch.with_options(batch=batch) if batch else touch).map(range(count)))


@pipeline
def first() -> Any:
    """One task."""
    return now()


class FirstLine(NamedTuple):
    """One round."""

    seconds: float
    wait_s: float
    """How long the pod waited for kubelet's next look in that."""


class Bench:
    """The cluster, and both ways to use it."""

    def __init__(self) -> None:
        self.settings: ArgoSettings = argo_settings(open_workplace(Settings()).settings.argo, os.environ)
        self.cluster = open_cluster(self.settings)
        self.image = self.settings.image_for(None, f"{sys.version_info.major}.{sys.version_info.minor}")
        self._hera = WorkflowsService(
            host=self.settings.url, token=f"Bearer {self.settings.token}", namespace=self.settings.namespace
        )

    def ended(self, name: str, began: float) -> tuple[float, int]:
        """Seconds from a moment until a workflow has ended well, and how many pods it had."""
        while time.time() - began < _LIMIT_S:
            found = self.cluster.get(name)
            if phase_of(found) in FINAL:
                if phase_of(found) != "Succeeded":
                    raise SystemExit(f"{name} ended as {phase_of(found)}")
                return time.time() - began, sum(1 for _ in pod_nodes(found))
            time.sleep(_LOOK_S)
        raise SystemExit(f"{name} has not ended within {_LIMIT_S:.0f} s")

    def ours(self, chosen: Pipeline[Any, Any], *arguments: Any) -> tuple[float, int, Any, str]:
        """Seconds of one run, its pods, its value, and the name of its workflow."""
        began = time.time()
        run = chosen.with_options(executor="argo", progress=False).submit(*arguments)
        name = run.record.place["workflow"]
        seconds, pods = self.ended(name, began)
        return seconds, pods, run.result(), name

    def row(self, work: str, count: int, chosen: Pipeline[Any, Any], *arguments: Any) -> str:
        """One run of so many tasks and a join, as a row of a table."""
        seconds, pods, value, name = self.ours(chosen, *arguments)
        assert value == sum(range(count))
        found = self.cluster.get(name)
        size = packed_bytes(found)
        estimate = found["metadata"]["annotations"][ESTIMATE].split(";")[1].split(",")[0]
        estimated = sum(int(word) for word in estimate.split() if word.isdecimal())
        if size > estimated + _BYTES_WITHOUT_PODS:
            raise SystemExit(f"The object of {name} has {size} bytes, and {estimated} were estimated.")
        return f"| {work} | {pods} | {pods / (count + 1):.2f} | {seconds:.1f} | {seconds / count * 1000:.0f} | {size} bytes |{estimate} |"

    def hera_chain(self, count: int) -> float:
        """Seconds of so many pods one after another, by hand."""
        with Workflow(
            generate_name="hera-", entrypoint="main", service_account_name=self.settings.service_account
        ) as made:
            nothing = self._container("pass")
            with DAG(name="main"):
                tasks = [Task(name=f"t{number}", template=nothing) for number in range(count)]
                for before, after in pairwise(tasks):
                    before >> after
        return self.ended(*self._created(made))[0]

    def hera(self, count: int) -> tuple[float, int]:
        """Seconds of the same DAG by hand, and its pods."""
        with Workflow(
            generate_name="hera-", entrypoint="main", service_account_name=self.settings.service_account
        ) as made:
            nothing = self._container("pass")
            with DAG(name="main"):
                last = Task(name="total", template=nothing)
                for number in range(count):
                    Task(name=f"t{number}", template=nothing) >> last
        return self.ended(*self._created(made))

    def first_line(self) -> FirstLine:
        """Seconds from ``submit()`` to the first line of the author's."""
        began = time.time()
        _, _, said_at, name = self.ours(first.with_options(argo={"pod_gc": "Never"}))
        (pod,) = pod_nodes(self.cluster.get(name))
        return FirstLine(float(said_at) - began, self._wait_for_kubelet(pod.pod))

    def hera_first_line(self) -> FirstLine:
        """Seconds from the creation of a workflow by hand to its first line."""
        with Workflow(
            generate_name="hera-", entrypoint="say", service_account_name=self.settings.service_account
        ) as made:
            self._container("import time; print(time.time())", name="say")
        name, began = self._created(made)
        self.ended(name, began)
        (pod,) = pod_nodes(self.cluster.get(name))
        return FirstLine(float(next(iter(self.cluster.logs(name, pod.pod)))) - began, self._wait_for_kubelet(pod.pod))

    def _wait_for_kubelet(self, pod: str) -> float:
        """Seconds between the last line of the container that initializes a pod and the first of those that come next."""
        return self._printed_at(pod, "wait")[0] - self._printed_at(pod, "init")[-1]

    def _printed_at(self, pod: str, container: str) -> list[float]:
        """When a container has printed its lines."""
        lines = Client().log(pod, namespace=self.settings.namespace, container=container, timestamps=True)
        # With nine digits behind the point, of which Python 3.10 reads six.
        return [datetime.fromisoformat(f"{line[:26]}+00:00").timestamp() for line in lines]

    def _container(self, code: str, name: str = "nothing") -> Container:
        policy = self.settings.image_pull_policy
        return Container(name=name, image=self.image, command=["python", "-c", code], image_pull_policy=policy)

    def _created(self, made: Workflow) -> tuple[str, float]:
        made.workflows_service = self._hera
        made.namespace = self.settings.namespace
        began = time.time()
        return str(made.create().metadata.name), began


def packed_bytes(workflow: dict[str, Any]) -> int:
    """The size of an object with the entries of its pods as Argo packs them when they get too many: gzip, then base64.

    Without what the API server says of who wrote which field: it lists the entries of pods as long as they are not packed.
    """
    status = dict(workflow["status"])
    nodes = gzip.compress(json.dumps(status.pop("nodes"), separators=(",", ":")).encode())
    metadata = {name: said for name, said in workflow["metadata"].items() if name != "managedFields"}
    rest = json.dumps({**workflow, "metadata": metadata, "status": status}, separators=(",", ":"))
    return len(rest) + len(base64.b64encode(nodes))


def rounds_of(rounds: int, *measures: Callable[[], float]) -> list[float]:
    """The medians of measures that take turns; one round before, which nobody counts, fills caches."""
    found = [[measure() for measure in measures] for _ in range(rounds + 1)][1:]
    return [median(column) for column in zip(*found, strict=True)]


def main() -> int:
    """Print tables; 1 when a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--more", type=int, default=15, help="how many more the larger DAG has")
    parser.add_argument("--firsts", type=int, default=20, help="rounds of the time to the first line")
    parser.add_argument("--first", action="store_true", help="the time to the first line, and nothing else")
    parser.add_argument("--wide", type=int, help="a fan-out of so many, and nothing else")
    parser.add_argument("--chunk", type=int, action="append", help="items in a pod, for --wide; again for another run")
    parser.add_argument("--separate", type=int, help="so many calls, each a pod of its own, and nothing else")
    parser.add_argument("--parallelism", type=int, help="pods at once, for --wide and --separate")
    given = parser.parse_args()
    bench = Bench()
    if given.wide or given.separate:
        print(_HEAD)
        if given.wide:
            chosen = wide.with_options(parallelism=given.parallelism)
            for chunk in given.chunk or (25, 1):
                work = f"fan-out of {given.wide}, {chunk or 'chosen'} in a pod"
                print(bench.row(work, given.wide, chosen, given.wide, chunk), flush=True)
        if given.separate:
            chosen = fan.with_options(parallelism=given.parallelism)
            print(bench.row(f"{given.separate} calls", given.separate, chosen, given.separate))
        return 0
    return shown([row_of_first_lines(bench, given.firsts)]) if given.first else beside_hera(bench, given)


def beside_hera(bench: Bench, given: argparse.Namespace) -> int:
    """The table of both; 1 when a limit was missed."""
    count, more = given.tasks, given.more
    chain_s, hera_chain_s, longer_s, hera_longer_s = rounds_of(
        given.rounds,
        lambda: bench.ours(chain, 1)[0],
        lambda: bench.hera_chain(1),
        lambda: bench.ours(chain, 1 + count)[0],
        lambda: bench.hera_chain(1 + count),
    )
    ours_s, hera_s, ours_more_s, hera_more_s = rounds_of(
        given.rounds,
        lambda: bench.ours(fan, count)[0],
        lambda: bench.hera(count)[0],
        lambda: bench.ours(fan, count + more)[0],
        lambda: bench.hera(count + more)[0],
    )
    rows = [
        (
            f"each of {count} further tasks of a chain",
            (longer_s - chain_s) / count,
            (hera_longer_s - hera_chain_s) / count,
            MOST_BESIDE_HERA,
        ),
        (f"{count} side by side and a join", ours_s, hera_s, MOST_BESIDE_HERA),
        (f"{count + more} side by side and a join", ours_more_s, hera_more_s, MOST_BESIDE_HERA),
        # No run takes that time: what is over of the larger one when the smaller is taken off, where the machine is full.
        (f"… by difference, each of {more}", (ours_more_s - ours_s) / more, (hera_more_s - hera_s) / more, inf),
        row_of_first_lines(bench, given.firsts),
    ]
    return shown(rows)


def at_any_moment(measure: Callable[[], FirstLine]) -> FirstLine:
    """A round that does not begin where the one before has ended: those would meet kubelet at the same moment each time."""
    time.sleep(random.random())
    return measure()


def row_of_first_lines(bench: Bench, rounds: int) -> Row:
    """Seconds until an author's code runs, of both: the means of so many rounds.

    Kubelet looks at its pods once a second, and a pod that is initialized waits for that, 0.2 to 1.2 s as it happens. That is
    none of either's doing, and each of the two is given the mean of all: else hundreds of rounds would be needed.
    """
    bench.first_line()
    bench.hera_first_line()
    found = [(at_any_moment(bench.first_line), at_any_moment(bench.hera_first_line)) for _ in range(rounds)]
    wait_s = mean(line.wait_s for both in found for line in both)
    ours, theirs = (mean(line.seconds - line.wait_s for line in lines) + wait_s for lines in zip(*found, strict=True))
    return "submit to the first line of the author's", ours, theirs, MOST_TO_FIRST_LINE


def shown(rows: Sequence[Row]) -> int:
    """Print a table; 1 when a limit was missed."""
    print("| work | pyflow | Hera | ratio | limit |\n|---|---|---|---|---|")
    for work, ours, theirs, limit in rows:
        print(f"| {work} | {ours:.2f} s | {theirs:.2f} s | {ours / theirs:.2f} | {limit if limit < inf else ''} |")
    return 0 if all(ours / theirs <= limit for _, ours, theirs, limit in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Packed graphs and events, without running anything."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from pyflow import pipeline, task
from pyflow.packed import PackedGraph
from pyflow.packing import pack
from pyflow.store import ContentStore, Keys, open_blobs


@task
def load(n: int) -> list[int]:
    return list(range(n))


@task(retries=1)
def fit(x: int) -> int:
    return x


@task
def pick(xs: list[int]) -> int:
    return max(xs)


@task
def tell(outcome: Any) -> None: ...


@pipeline
def scene(n: int) -> int:
    return pick(fit.map(load(n)))


@pipeline(on_exit=tell)
def train(n: int) -> int:
    return pick(fit.map(load(n)))


@pipeline
def nested(n: int) -> list[int]:
    return scene.map(range(n))


def packed(one: Any, *args: Any) -> PackedGraph:
    return pack(one.trace(*args), ContentStore(open_blobs("memory://progress"), Keys("p", "o"))).graph


class Story:
    """Tells a counter or a display what happens, one second after the other."""

    def __init__(self, graph: PackedGraph, tell_to: Callable[[dict[str, Any]], Any]) -> None:
        self.ids = {}
        for node in graph.walk():
            self.ids.setdefault(node.name, []).append(node.id)
        if graph.on_exit is not None:
            self.ids[graph.on_exit.name] = [graph.on_exit.id]
        self._tell = tell_to
        self._times = itertools.count(1000.0)

    def slot(self, name: str, *indices: int) -> str:
        """The slot of a task; for a name of a map and its task, of the task."""
        return ".".join(map(str, (self.ids[name][-1], *indices)))

    def say(self, event: str, **details: Any) -> None:
        self._tell({"at": next(self._times), "event": event, **details})

    def begin(self) -> None:
        self.say("run-started")

    def start(self, name: str, *indices: int, attempt: int = 1) -> None:
        self.say("started", slot=self.slot(name, *indices), attempt=attempt, worker="w1")

    def end(self, name: str, *indices: int, status: str = "succeeded", attempt: int = 1, **more: Any) -> None:
        if status in {"failed", "lost"}:
            more.setdefault("error", {"type": "ValueError", "message": "bad"})
        self.say("ended", slot=self.slot(name, *indices), attempt=attempt, status=status, duration_s=1.0, **more)

    def expand(self, name: str, count: int, *indices: int) -> None:
        self.say("expanded", slot=".".join(map(str, (self.ids[name][0], *indices))), count=count)

    def pause(self, name: str, *indices: int) -> None:
        self.say("paused", slot=self.slot(name, *indices), seconds=1.0)

    def run(self, name: str, *indices: int, **how: Any) -> None:
        self.start(name, *indices)
        self.end(name, *indices, **how)

    def finish(self, status: str = "succeeded") -> None:
        self.say("run-ended", status=status)

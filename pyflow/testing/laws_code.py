"""What executors owe to the code of a task: it is as it was sent, whoever has run it before, and finds what it names."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import pickle
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from pyflow.api import pipeline
from pyflow.testing.claims import holds, same
from pyflow.testing.stage import Stage
from pyflow.tracing import task


class _Settings:
    """Travels by value, as a class of a notebook does, once it is called a class of ``__main__``."""

    mode = "fast"
    seen: list[int] = []  # noqa: RUF012  what every object shares is what is tried here

    def now(self) -> Any:
        return self.mode, list(self.seen)


def changes_of_code_do_not_leak(stage: Stage) -> None:
    """Defaults, variables around a function, attributes of functions and of classes are for each call as they were sent."""
    around: list[int] = []
    count = 0

    def helper() -> None:
        return None

    settings: Any = type("Settings", (), {**vars(_Settings), "__module__": "__main__"})

    @task
    def spoil(i: int, default: list[int] = []) -> Any:  # noqa: B006  the same
        nonlocal count
        count += 1
        around.append(i)
        default.append(i)
        helper.calls = getattr(helper, "calls", 0) + 1  # type: ignore[attr-defined]
        settings.seen.append(i)
        settings.mode += "er"
        settings.added = getattr(settings, "added", 0) + 1
        return count, around, default, helper.calls, settings().now(), settings.added  # type: ignore[attr-defined]

    @task
    def change(given: Any) -> Any:
        type(given).mode = "changed"
        type(given).seen.append(9)
        return given, given.now()

    @pipeline(parallelism=1)
    def spoiling() -> Any:
        return spoil.map([1, 2, 3]), change(settings()), change(settings())

    def state() -> Any:
        of_class = {name: value for name, value in vars(settings).items() if name != "__slotnames__"}  # pickle's own
        return count, list(around), repr(spoil.fn.__defaults__), dict(vars(helper)), list(settings.seen), of_class

    before = state()
    spoilt, *changed = stage.run(spoiling)
    same(spoilt, [(1, [i], [i], 1, ("faster", [i]), 1) for i in (1, 2, 3)], "what each item has seen")
    same([seen for _, seen in changed], [("changed", [9])] * 2, "what each call has seen of the class of its argument")
    same([type(given) is settings for given, _ in changed], [True, True], "the class of the results is the caller's")
    same(state(), before, "what the caller sees")


def names_of_a_script_are_found(stage: Stage) -> None:
    """What a script defines can be pickled in its tasks as in the script: for a pool of processes, for a file."""

    def double(x: int) -> int:
        return 2 * x

    double.__module__, double.__qualname__ = "__main__", "double"
    point: Any = type("Point", (), {"__module__": "__main__", "x": 3})

    methods = (
        ["fork", "spawn"] if stage.has_processes else ["fork"]
    )  # the caller's own script is run again, if it has a file

    def pooled(given: Any) -> Any:
        doubled: list[int] = []
        for method in methods:
            with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
                doubled += pool.map(double, [1, 2])
        copy = pickle.loads(pickle.dumps([given, point()]))
        return doubled, [type(each) is point for each in copy]

    pooled.__module__, pooled.__qualname__ = "__main__", "pooled"
    pool_task = task(pooled)

    @pipeline
    def pooling() -> Any:
        return pool_task(point())

    before = dict(vars(sys.modules["__main__"]))
    same(stage.run(pooling), ([2, 4] * len(methods), [True, True]), "the result")
    same(dict(vars(sys.modules["__main__"])) == before, True, "the caller's __main__ is as before")


def a_forked_child_is_not_the_task(stage: Stage) -> None:
    """A process that a task has forked, and that returns or raises as the task does, gives no result in its place."""

    @task
    def fork(raises: bool) -> Any:
        child = os.fork()
        if child == 0:
            if raises:
                raise SystemExit(0)
            return "the child's"
        _, status = os.waitpid(child, 0)
        return "the parent's", os.waitstatus_to_exitcode(status)

    @pipeline
    def forking() -> Any:
        return [fork(raises) for raises in (True, False)]

    run = stage.finish(forking)
    same(run.result(), [("the parent's", os.EX_SOFTWARE)] * 2, "the results")
    holds("forked raised SystemExit in it, and ends here" in run.logs("fork"), "the log says what became of the first")
    holds("forked returned from it, and ends here" in run.logs("fork-2"), "the log says what became of the second")


def looking_at_code_changes_nothing(stage: Stage) -> None:
    """A task that looks at where it is called from, as libraries do, makes no files by that."""

    def look() -> Any:
        before = set(os.listdir(tempfile.gettempdir()))
        frames = len(inspect.stack()) > 1
        return frames, sorted(set(os.listdir(tempfile.gettempdir())) - before)

    look.__module__, look.__qualname__ = "__main__", "look"
    looking_task = task(look)

    @pipeline(parallelism=1)
    def looking() -> Any:
        return [looking_task(), looking_task()]

    same(stage.run(looking), [(True, [])] * 2, "whether there were frames, and the files")


LAWS = (
    looking_at_code_changes_nothing,
    changes_of_code_do_not_leak,
    names_of_a_script_are_found,
    a_forked_child_is_not_the_task,
)

"""What executors owe to the shape of a pipeline: arguments, results, parts, and everything that can be a task."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pyflow.api import list_runs, pipeline
from pyflow.errors import DefinitionError
from pyflow.testing.claims import holds, raises, same
from pyflow.testing.stage import Stage
from pyflow.tracing import each, task


@task
def add(x: int, y: int = 1) -> int:
    return x + y


@task
def collect(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


@task
def give(value: Any) -> Any:
    return value


@dataclass
class Scores:
    mean: float
    rows: list[int]


class Pair(NamedTuple):
    left: Any
    right: Any


def a_call_gives_the_value(stage: Stage) -> None:
    """Calling a pipeline gives what its last task returned, as a plain call of the functions would."""

    @pipeline
    def chain(n: int) -> int:
        return add(add(n), y=10)

    same(stage.run(chain, 5), 16, "the value")
    same(stage.run(chain, n=6), 17, "the value for an argument by name")


def every_structure_is_returned(stage: Stage) -> None:
    """What comes back has the structure that the body returned, at any depth, with constants where it had them."""

    @pipeline
    def shapes(kind: str) -> Any:
        a, b = add(1), add(2)
        return {
            "tuple": (a, b), "list": [a, [b, 7]], "dict": {"a": a, 3: {"b": b}}, "none": None, "empty": [(), {}],
            "dataclass": Scores(a, [b, b]), "named": Pair(a, {"x": Pair(b, None)}), "same": [a, a],
        }[kind]  # fmt: skip

    expected: dict[str, Any] = {
        "tuple": (2, 3), "list": [2, [3, 7]], "dict": {"a": 2, 3: {"b": 3}}, "none": None, "empty": [(), {}],
        "dataclass": Scores(2, [3, 3]), "named": Pair(2, {"x": Pair(3, None)}), "same": [2, 2],
    }  # fmt: skip
    for kind, value in expected.items():
        found = stage.run(shapes, kind)
        same(found, value, kind)
        holds(type(found) is type(value), f"a {kind} comes back as a {type(value).__name__}")


def a_body_may_call_nothing(stage: Stage) -> None:
    """A pipeline without any call runs and gives its constant."""

    @pipeline
    def constant(x: Any) -> Any:
        return x

    for value in (5, None, {"a": [1, 2]}, {1, 2}):
        same(stage.run(constant, value), value, "the constant")


def a_task_may_return_nothing(stage: Stage) -> None:
    """``None`` is a value like any other."""

    @task
    def nothing() -> None:
        return None

    @pipeline
    def silent() -> Any:
        empty = nothing()
        return empty, give(empty)

    same(stage.run(silent), (None, None), "the results")


def arguments_pass_as_in_a_plain_call(stage: Stage) -> None:
    """Defaults, keywords, positional-only, keyword-only and variadic parameters bind as they do in Python."""

    @task
    def many(a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **more: int) -> Any:
        return a, b, rest, c, d, more

    @pipeline
    def call(x: int, *xs: int, y: int = 3, **named: int) -> Any:
        return many(give(x), c=y), many(x, *xs, c=give(y), **named)

    same(stage.run(call, 1), ((1, 2, (), 3, 4, {}), (1, 2, (), 3, 4, {})), "with defaults")
    expected: Any = ((1, 2, (), 9, 4, {}), (1, 5, (6, 7), 9, 8, {"e": 0}))
    same(stage.run(call, 1, 5, 6, 7, y=9, d=8, e=0), expected, "with everything")


def wrong_arguments_stop_a_run_before_it_starts(stage: Stage) -> None:
    """A call that Python would refuse raises TypeError, of the pipeline or of a task in it, and no run is recorded."""

    @pipeline
    def wrong(n: int) -> Any:
        return add(n, 1, 2, 3)  # type: ignore[call-arg]

    raises(TypeError, lambda: stage.run(wrong))  # type: ignore[call-arg]
    raises(TypeError, lambda: stage.run(wrong, 1, m=2))  # type: ignore[call-arg]
    raises(TypeError, lambda: stage.run(wrong, 1), "add")
    same(list_runs(stage.store), [], "the runs that were recorded")


def parts_of_results_are_taken(stage: Stage) -> None:
    """Indices, keys, attributes and slices of a result, and parts of parts, reach tasks and results."""

    @task
    def table() -> dict[Any, Any]:
        return {"rows": [10, 20, 30], "scores": Scores(0.5, [1, 2]), "pair": Pair("l", {"deep": (1, 2)}), 7: "seven"}

    @pipeline
    def parts() -> Any:
        t = table()
        return (
            give(t["rows"][1]), t["scores"].mean, give([t["pair"].right["deep"][-1], t["rows"]]), t["rows"][0:2],
            give(t["scores"].rows), t[7],
        )  # fmt: skip

    same(stage.run(parts), (20, 0.5, [2, [10, 20, 30]], [10, 20], [1, 2], "seven"), "the parts")


def a_result_is_unpacked(stage: Stage) -> None:
    """``a, b = f()`` works with ``outputs=2`` and with an annotation that says two; a map of known length, too."""

    @task(outputs=2)
    def two():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return [1, 2]

    @task
    def annotated() -> tuple[int, str]:
        return 3, "x"

    @pipeline
    def unpack() -> Any:
        a, b = two()
        c, d = annotated()
        e, f, g = add.map([1, 2, 3])
        return add(a, b), add(c), d, add(e, g), f

    same(stage.run(unpack), (3, 4, "x", 6, 3), "the parts")


def a_missing_part_fails_the_task_that_takes_it(stage: Stage) -> None:
    """The error is Python's own for such a part, and says whose result it was to be taken of."""

    @pipeline
    def missing(kind: str) -> Any:
        value = give.with_options(name="source")({"a": [1]})
        return give({"key": value["b"], "index": value["a"][5], "attr": value.nope}[kind])

    raises(KeyError, lambda: stage.run(missing, "key"), "source", "['b']")
    raises(IndexError, lambda: stage.run(missing, "index"), "source", "[5]")
    raises(AttributeError, lambda: stage.run(missing, "attr"), "source", ".nope")


def a_wrong_number_of_outputs_fails_the_task(stage: Stage) -> None:
    """A result with other than ``outputs`` parts is an error that names task, number and option."""

    @task(outputs=2)
    def three():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return 1, 2, 3

    @task(outputs=2)
    def one():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return 1

    @pipeline
    def unpack(which: int) -> Any:
        a, b = (three if which == 3 else one)()
        return a, b

    raises(DefinitionError, lambda: stage.run(unpack, 3), "'three'", "3 parts", "outputs=2")
    raises(DefinitionError, lambda: stage.run(unpack, 1), "'one'", "int", "outputs=2")


def results_are_found_in_structures(stage: Stage) -> None:
    """A result inside of lists, tuples, dicts, dataclasses and named tuples arrives as its value."""

    @pipeline
    def nested() -> Any:
        a, b = add(1), add(2)
        return collect([a, (b, {"k": [a]})], pair=Pair(a, [b]), scores=Scores(b, [a, 5]), plain={1, 2})

    expected = (([2, (3, {"k": [2]})],), {"pair": Pair(2, [3]), "scores": Scores(3, [2, 5]), "plain": {1, 2}})
    same(stage.run(nested), expected, "what the task got")


def one_result_for_two_arguments_is_one_object(stage: Stage) -> None:
    """``f(x, x)`` gets the same object twice, as in a plain call; two results are two objects."""

    @task
    def make() -> list[int]:
        return [1]

    @task
    def is_same(a: Any, b: Any, others: list[Any]) -> tuple[bool, bool]:
        return a is b, any(a is other for other in others)

    @pipeline
    def sharing() -> Any:
        x, y = make(), make()
        return is_same(x, x, [y]), is_same(x, y, [x])

    same(stage.run(sharing), ((True, False), (False, True)), "which are the same")


def inputs_are_the_tasks_own(stage: Stage) -> None:
    """A task may write to what it gets; nobody else sees it: not its siblings, the producer, nor the caller."""

    @task
    def spoil(items: list[int], constant: dict[str, int]) -> tuple[int, int]:
        items.append(99)
        constant["x"] = 99
        return len(items), len(constant)

    @pipeline
    def private(given: dict[str, int]) -> Any:
        made = give([1, 2])
        first = spoil(made, given)
        second = spoil.after(first)(made, given)
        return first, second, give.after(second)(made), give.after(second)(given)

    given = {"a": 1}
    same(stage.run(private, given), ((3, 2), (3, 2), [1, 2], {"a": 1}), "what each task saw")
    same(given, {"a": 1}, "what the caller has")


def all_that_can_be_called_can_be_a_task(stage: Stage) -> None:
    """Lambdas, partials, callable objects, classes, methods, built-ins and wrapped functions are tasks."""
    factor = 3

    class Scaler:
        def __init__(self, by: int) -> None:
            self.by = by

        def __call__(self, x: int) -> int:
            return x * self.by

        @task
        def times(self, x: int) -> int:
            return self.by * x

        @task
        @classmethod
        def name(cls) -> str:
            return cls.__name__

        @task
        @staticmethod
        def half(x: int) -> float:
            return x / 2

    def loud(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapper(*args: Any) -> Any:
            return [fn(*args)]

        return wrapper

    @task
    @loud
    def shout(x: int) -> int:
        return -x

    @pipeline
    def everything(x: int) -> Any:
        return [
            task(lambda y: y * factor)(x), task(functools.partial(max, 4))(x), task(Scaler(5))(x), task(Scores)(x, [x]),
            Scaler(6).times(x), Scaler.name(), Scaler.half(x), shout(x), task(len)([x, x]),
        ]  # fmt: skip

    same(stage.run(everything, 2), [6, 4, 10, Scores(2, [2]), 12, "Scaler", 1.0, [-2], 2], "the results")


def async_functions_run_to_their_end(stage: Stage) -> None:
    """An async function is a task whose result is what it returns; it may await others."""

    @task
    async def wait(x: int) -> int:
        one, two = await asyncio.gather(asyncio.sleep(0.001, x), asyncio.sleep(0, 1))
        return one + two

    @pipeline
    def waiting() -> Any:
        return wait(1), wait.map([1, 2])

    same(stage.run(waiting), (2, [2, 3]), "the results")


def a_task_may_call_tasks(stage: Stage) -> None:
    """Inside of a task, a call of a task, itself included, and a map are plain calls."""

    @task
    def factorial(n: int) -> int:
        return 1 if n <= 1 else n * factorial(n - 1)

    @task
    def both(n: int) -> list[int]:
        return [factorial(n), add(n), *add.map([n], y=each([5]))]

    @pipeline
    def recursive(n: int) -> list[int]:
        return both(n)

    same(stage.run(recursive, 5), [120, 6, 10], "the result")
    same((factorial(4), add(1), add.map([1, 2])), (24, 2, [2, 3]), "plain calls outside of a pipeline")


def pipelines_call_pipelines(stage: Stage) -> None:
    """A called pipeline becomes a part of the one that calls it, with its defaults, and keeps its structure."""

    @pipeline
    def inner(a: int, b: int = 10) -> dict[str, int]:
        return {"sum": add(a, b), "given": b}

    @pipeline
    def outer(n: int) -> Any:
        first = inner(n)
        second = inner(first["sum"], b=first["sum"])
        return first, second["sum"]

    run = stage.finish(outer, 1)
    same(run.result(), ({"sum": 11, "given": 10}, 22), "the result")
    same(list(run.nodes), ["inner/add", "inner-2/add"], "the names of the nodes")


def closures_and_globals_travel(stage: Stage) -> None:
    """A function takes along what it closes over, and module-level names that it uses."""
    table = {"a": 1}

    def helper(key: str) -> int:
        return table[key] + len(Pair._fields)

    @task
    def look(key: str) -> int:
        return helper(key)

    @pipeline
    def closing() -> int:
        return look("a")

    same(stage.run(closing), 3, "the result")


LAWS = (
    a_call_gives_the_value,
    every_structure_is_returned,
    a_body_may_call_nothing,
    a_task_may_return_nothing,
    arguments_pass_as_in_a_plain_call,
    wrong_arguments_stop_a_run_before_it_starts,
    parts_of_results_are_taken,
    a_result_is_unpacked,
    a_missing_part_fails_the_task_that_takes_it,
    a_wrong_number_of_outputs_fails_the_task,
    results_are_found_in_structures,
    one_result_for_two_arguments_is_one_object,
    inputs_are_the_tasks_own,
    all_that_can_be_called_can_be_a_task,
    async_functions_run_to_their_end,
    a_task_may_call_tasks,
    pipelines_call_pipelines,
    closures_and_globals_travel,
)

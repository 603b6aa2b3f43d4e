"""What executors owe to maps: every item once, in order, however the items are known and whatever fails."""

from __future__ import annotations

import time
import warnings
from typing import Any

from pyflow.api import pipeline
from pyflow.errors import DefinitionError
from pyflow.testing.claims import raises, same
from pyflow.testing.stage import Stage
from pyflow.tracing import each, first_of, otherwise, task, when


@task
def add(x: int, y: int = 1) -> int:
    return x + y


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def numbers(n: int) -> list[int]:
    return list(range(n))


@task
def give(value: Any) -> Any:
    return value


@task
def odd_only(x: int) -> int:
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


def a_map_gives_the_list_of_results(stage: Stage) -> None:
    """Any iterable that is known now can be mapped; the result stands for a list, in order."""

    @pipeline
    def fan() -> Any:
        listed = add.map([3, 1, 2])
        return listed, total(listed), add.map(range(3)), add.map(x * x for x in (1, 2)), add.map({5: "a", 6: "b"})

    same(stage.run(fan), ([4, 2, 3], 9, [1, 2, 3], [2, 5], [6, 7]), "the results")


def items_may_be_known_at_run_time(stage: Stage) -> None:
    """A map goes through the result of a task, or a part of it, whatever kind of iterable that is."""

    @task
    def tables() -> dict[str, Any]:
        return {"list": [1, 2], "tuple": (3,), "text": "ab", "dict": {"x": 1, "y": 2}, "range": range(2), "set": {7}}

    @pipeline
    def late(n: int) -> Any:
        t = tables()
        parts = {key: give.map(t[key]) for key in ("list", "tuple", "text", "dict", "range", "set")}
        return total(add.map(numbers(n))), parts

    expected = {
        "list": [1, 2], "tuple": [3], "text": ["a", "b"], "dict": ["x", "y"], "range": [0, 1], "set": [7]
    }  # fmt: skip
    same(stage.run(late, 4), (10, expected), "the results")


def what_cannot_be_mapped_is_told(stage: Stage) -> None:
    """A result without items fails with an error that names its task and its type."""

    @pipeline
    def wrong() -> Any:
        return add.map(give.with_options(name="single")(5))

    raises(DefinitionError, lambda: stage.run(wrong), "'single'", "int", "no items")


def an_empty_map_gives_an_empty_list(stage: Stage) -> None:
    """A map over nothing, known now or at run time, gives ``[]``, and what follows runs."""

    @pipeline
    def inner(x: int) -> int:
        return add(add(x))

    @pipeline
    def empty() -> Any:
        late = add.map(numbers(0))
        chained = add.map(late)
        return add.map([]), late, total(chained), inner.map(numbers(0)), add.with_options(batch=3).map(late)

    same(stage.run(empty), ([], [], 0, [], []), "the results")


def keywords_are_whole_or_each(stage: Stage) -> None:
    """Keywords are passed whole to every item, and one by one when wrapped in ``each``; results of tasks as well."""

    @task
    def mix(x: Any, *, y: Any = None, z: Any = None) -> tuple[Any, ...]:
        return x, y, z

    @pipeline
    def mixed() -> Any:
        whole, some = numbers(2), numbers(2)
        return (
            mix.map([1, 2], y=[5], z="s"), mix.map([1, 2], y=each(["a", "b"]), z=whole),
            mix.map(x=each(some), y={"k": whole[1]}), mix.map(some, y=each([8, 9]), z=each(whole)),
        )  # fmt: skip

    same(
        stage.run(mixed),
        (
            [(1, [5], "s"), (2, [5], "s")], [(1, "a", [0, 1]), (2, "b", [0, 1])],
            [(0, {"k": 1}, None), (1, {"k": 1}, None)], [(0, 8, 0), (1, 9, 1)],
        ),
        "the results",
    )  # fmt: skip


def unequal_lengths_are_an_error(stage: Stage) -> None:
    """Mapped arguments of different lengths fail, before the run where both are known, and both lengths are named."""

    @pipeline
    def early() -> Any:
        return add.map([1, 2, 3], [1, 2])

    @pipeline
    def late() -> Any:
        return add.map([1, 2, 3], numbers(2))

    raises(DefinitionError, lambda: stage.run(early), "3", "2", "add")
    raises(DefinitionError, lambda: stage.run(late), "'x' has 3", "'y' has 2", "add")


def maps_of_maps_go_item_by_item(stage: Stage) -> None:
    """``g.map(f.map(xs))`` takes each item's result, also zipped with others, through any number of maps."""

    @pipeline
    def chained(n: int) -> Any:
        first = add.map(numbers(n))
        second = add.map(first, first)
        third = add.map(second, y=each(add.map(second)))
        return first, second, third, total(third), add.map(second, y=first[0])

    first, second = [1, 2, 3], [2, 4, 6]
    third = [x + x + 1 for x in second]
    same(stage.run(chained, 3), (first, second, third, sum(third), [3, 5, 7]), "the results")


def an_item_does_not_wait_for_the_others(stage: Stage) -> None:
    """Where tasks run side by side, the second map's first item runs while the first map's last one does."""
    stage.asks("has_processes")
    stage.asks("is_item_by_item")

    noted = stage.sign()

    @task
    def wait_at_end(x: int) -> bool:
        return x == 0 or noted.wait()

    @task
    def note(made: bool) -> bool:
        noted.give()
        return made

    @pipeline
    def lockstep() -> Any:
        return note.with_options(cpus=0.5).map(wait_at_end.with_options(cpus=0.5).map([0, 1]))

    same(stage.run(lockstep), [True, True], "whether the first item was noted before the last one was made")


def pipelines_are_mapped(stage: Stage) -> None:
    """A whole pipeline runs for each item, inside another one, with the structure that its body returns."""

    @pipeline
    def scene(x: int, *, offset: Any) -> Any:
        made = add(x, y=offset)
        return {"made": made, "all": add.map([made, made], y=x), "given": x}

    @pipeline
    def scenes(n: int) -> Any:
        found = scene.map(numbers(n), offset=add(9))
        return found, give(found[1]["all"]), give.map(found)

    expected = [{"made": x + 10, "all": [x * 2 + 10] * 2, "given": x} for x in range(3)]
    same(stage.run(scenes, 3), (expected, expected[1]["all"], expected), "the results")


def maps_nest(stage: Stage) -> None:
    """Maps inside of mapped pipelines, over what the outer item gives, keep both orders."""

    @pipeline
    def row(n: int) -> Any:
        return total(add.map(numbers(n))), add.map(add.map(numbers(n), y=n))

    @pipeline
    def rows(ns: list[int]) -> Any:
        return row.map(ns)

    @pipeline
    def table() -> Any:
        return rows.map([[2, 0], [], [1]])

    def expected(n: int) -> Any:
        return sum(x + 1 for x in range(n)), [x + n + 1 for x in range(n)]

    same(stage.run(table), [[expected(2), expected(0)], [], [expected(1)]], "the results")


def order_is_kept_whatever_ends_first(stage: Stage) -> None:
    """Results stand in the order of the items, not in the order of their ends."""

    @task
    def wait(x: int) -> int:
        time.sleep(0.02 * (3 - x))
        return x

    @pipeline
    def racing() -> Any:
        return wait.with_options(cpus=0.25).map(range(4))

    same(stage.run(racing) if stage.has_processes else _without_warning(stage, racing), [0, 1, 2, 3], "the results")


def _without_warning(stage: Stage, racing: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return stage.run(racing)


def results_of_maps_have_parts(stage: Stage) -> None:
    """An index, a slice and a part of an item of a map's result are parts like any other."""

    @pipeline
    def parts() -> Any:
        pairs = give.map([{"a": 1}, {"a": 2}, {"a": 3}])
        return pairs[0], give(pairs[-1]["a"]), give(pairs[1:])

    same(stage.run(parts), ({"a": 1}, 3, [{"a": 2}, {"a": 3}]), "the parts")


def items_may_hold_results(stage: Stage) -> None:
    """A list of results of tasks, known in its length, is mapped item by item; so is a mix with constants."""

    @pipeline
    def listed() -> Any:
        a, b = add(1), add(2)
        return add.map([a, b, 10]), give.map([{"k": a}, [b]]), add.map((a, b), y=each((b, a)))

    same(stage.run(listed), ([3, 4, 11], [{"k": 2}, [3]], [5, 5]), "the results")


def a_batch_gives_the_same_as_single_items(stage: Stage) -> None:
    """``batch=`` changes where items run, not what they give; a rest that fills no batch runs, too."""

    @pipeline
    def batched(n: int) -> Any:
        first = add.with_options(batch=3).map(numbers(n))
        return first, add.with_options(batch=2).map(first), total(first)

    same(stage.run(batched, 7), (list(range(1, 8)), list(range(2, 9)), 28), "the results")


def a_failing_item_does_not_stop_its_batch(stage: Stage) -> None:
    """The others of a batch end and are kept, in order; the run fails with the first failing item's error."""

    @pipeline
    def batched() -> Any:
        return odd_only.with_options(batch=5).map([1, 2, 3, 4, 5])

    run = stage.finish(batched)
    raises(ValueError, run.result, "2 is even", "odd_only[1]", "odd_only[3]")
    same([run.result("odd_only", index) for index in (0, 2, 4)], [1, 3, 5], "what is kept")
    statuses = [slot.status for slot in _slots(run.nodes["odd_only"])]
    same(statuses, ["succeeded", "failed", "succeeded", "failed", "succeeded"], "how the items ended")


def items_of_a_batch_are_tried_again_alone(stage: Stage) -> None:
    """A retry of one item runs no other item of its batch a second time."""
    counts = {x: stage.counter() for x in range(3)}

    @task(retries=2, backoff=0, batch=3)
    def once_more(x: int) -> int:
        if counts[x].up() < 2 and x == 1:
            raise ConnectionError(x)
        return x

    @pipeline
    def batched() -> Any:
        return once_more.map([0, 1, 2])

    same(stage.run(batched), [0, 1, 2], "the results")
    same([counts[x].count for x in range(3)], [1, 2, 1], "how often each ran")


def a_failing_item_keeps_its_siblings(stage: Stage) -> None:
    """Items that had ended when another one failed are kept, and the error says which item it was."""

    @pipeline
    def inner(x: int) -> int:
        return odd_only(add(x, y=0))

    @pipeline
    def outer() -> Any:
        return inner.map([1, 3, 4, 5])

    # One at a time, because items that run side by side may overtake each other.
    run = stage.finish(stage.on(outer.with_options(parallelism=1)))
    raises(ValueError, run.result, "4 is even", "inner[2]/odd_only")
    same([run.result(f"inner[{i}]/odd_only") for i in (0, 1)], [1, 3], "what is kept")


def branches_work_inside_of_maps(stage: Stage) -> None:
    """A mapped pipeline decides for each item."""

    @pipeline
    def per_item(x: int) -> Any:
        y = add(x)
        with when(y > 2):
            large = add(y, y=100)
        with otherwise():
            small = add(y, y=-100)
        return first_of(large, small)

    @pipeline
    def deciding() -> Any:
        return per_item.map(numbers(4))

    same(stage.run(deciding), [-99, -98, 103, 104], "the results")


def maps_work_inside_of_branches(stage: Stage) -> None:
    """A branch that is taken maps; one that is not maps nothing, and its items are never made."""

    @pipeline
    def deciding(n: int) -> Any:
        xs = numbers(n)
        with when(xs[0] == 0):
            many = add.map(xs)
        with otherwise():
            none = odd_only.map(xs)
        return first_of(many, none)

    same(stage.run(deciding, 3), [1, 2, 3], "the results")


def _slots(node: Any) -> list[Any]:
    return sorted(node.slots.values(), key=lambda slot: tuple(map(int, slot.slot.split("."))))


LAWS = (
    a_map_gives_the_list_of_results,
    items_may_be_known_at_run_time,
    what_cannot_be_mapped_is_told,
    an_empty_map_gives_an_empty_list,
    keywords_are_whole_or_each,
    unequal_lengths_are_an_error,
    maps_of_maps_go_item_by_item,
    an_item_does_not_wait_for_the_others,
    pipelines_are_mapped,
    maps_nest,
    order_is_kept_whatever_ends_first,
    results_of_maps_have_parts,
    items_may_hold_results,
    a_batch_gives_the_same_as_single_items,
    a_failing_item_does_not_stop_its_batch,
    items_of_a_batch_are_tried_again_alone,
    a_failing_item_keeps_its_siblings,
    branches_work_inside_of_maps,
    maps_work_inside_of_branches,
)

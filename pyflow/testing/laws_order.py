"""What executors owe to order and conditions, seen by what tasks observed."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any, NamedTuple

from pyflow.api import pipeline
from pyflow.errors import DefinitionError, RunCancelledError
from pyflow.runs import ExitOutcome
from pyflow.testing.claims import holds, raises, same
from pyflow.testing.stage import Sign, Stage
from pyflow.tracing import first_of, otherwise, parallel, steps, task, when

_LONG_S = 0.05


class Span(NamedTuple):
    """When a task ran, by the clock of the machine."""

    start: float
    end: float


@task
def note(name: str = "", *, lasts_s: float = _LONG_S) -> Span:
    start = time.time()
    time.sleep(lasts_s)
    return Span(start, time.time())


@task
def give(value: Any) -> Any:
    return value


@task
def boom(text: str = "boom") -> Any:
    raise ValueError(text)


def calls_without_order_need_not_wait(stage: Stage) -> None:
    """Without data or order between them, tasks run side by side where the executor can."""
    stage.asks("has_processes")
    one, other = stage.sign(), stage.sign()

    @task(cpus=0.1)
    def meet(mine: Sign, theirs: Sign) -> bool:
        mine.give()
        return theirs.wait()

    @pipeline
    def free() -> Any:
        return meet(one, other), meet(other, one)

    same(stage.run(free), (True, True), "whether each was there while the other one ran")


def steps_follow_each_other(stage: Stage) -> None:
    """In ``steps()`` each call waits for the one before; a group of ``parallel()`` counts as one."""

    @pipeline
    def stepwise() -> Any:
        with steps():
            a = note("a")
            with parallel():
                b, c = note("b"), note("c")
            d = note.map(["d", "e"])
            e = note("f")
        return a, b, c, d, e

    a, b, c, d, e = stage.run(stepwise)
    _in_order([a], [b, c])
    _in_order([b, c], d)
    _in_order(d, [e])


def after_and_arrows_are_kept(stage: Stage) -> None:
    """``.after(...)`` and ``>>`` make a call wait; calls that come earlier in the body may come later."""

    @pipeline
    def arrows() -> Any:
        late = note("late")
        first = note("first")
        second = note.after(first)("second")
        third, fourth = note("third"), note("fourth")
        second >> [third, fourth]  # type: ignore[operator]
        third >> late  # type: ignore[operator]
        return first, second, third, fourth, late

    first, second, third, fourth, late = stage.run(arrows)
    _in_order([first], [second])
    _in_order([second], [third, fourth])
    _in_order([third], [late])


def maps_and_pipelines_wait_as_a_whole(stage: Stage) -> None:
    """A map waits, and is waited for, as one call; so is a called pipeline."""

    @pipeline
    def inner() -> Any:
        return {"one": note("i"), "two": note("j")}

    @pipeline
    def ordered() -> Any:
        first = note.map(["a", "b"])
        called = note.after(first).map(["c", "d"])
        with steps():
            one = inner()
            two = note("e")
        return first, called, one, two

    first, called, one, two = stage.run(ordered)
    _in_order(first, called)
    _in_order([one["one"], one["two"]], [two])


def a_pipeline_may_be_ordered_by_its_calls(stage: Stage) -> None:
    """``order="calls"`` lets every call of a body wait for the one before it."""

    @pipeline(order="calls")
    def ordered() -> Any:
        return [note(str(i)) for i in range(4)]

    spans = stage.run(ordered)
    for before, behind in pairwise(spans):
        _in_order([before], [behind])


def one_side_of_a_condition_runs(stage: Stage) -> None:
    """The side that the condition says runs, the other one does not, and its nodes are skipped."""

    @pipeline
    def decide(x: int) -> Any:
        score = give(x)
        with when(score > 5):
            high = give.with_options(name="high")("high")
        with otherwise():
            low = give.with_options(name="low")("low")
        return first_of(high, low)

    for x, taken, left in ((7, "high", "low"), (5, "low", "high")):
        run = stage.finish(decide, x)
        same(run.result(), taken, f"the value for {x}")
        same((run.nodes[taken].status, run.nodes[left].status), ("succeeded", "skipped"), "how the sides ended")


def all_comparisons_decide(stage: Stage) -> None:
    """Comparisons with constants and other results, truth, and ``&``, ``|``, ``~`` mean what they mean in Python."""

    @pipeline
    def decide(a: int, b: int) -> Any:
        x, y = give(a), give({"v": b})
        conditions = {
            "lt": x < y["v"], "le": x <= y["v"], "eq": x == y["v"], "ne": x != 3, "gt": x > 2, "ge": x >= y["v"],
            "true": x, "and": (x > 1) & (y["v"] > 1), "or": (x > 2) | (y["v"] > 2), "not": ~(x == 3),
        }  # fmt: skip
        taken = {}
        for name, condition in conditions.items():
            with when(condition):
                yes = give(True)
            taken[name] = first_of(yes, default=False)
        return taken

    for a, b in ((1, 2), (3, 3), (0, 0), (3, 1)):
        expected = {
            "lt": a < b, "le": a <= b, "eq": a == b, "ne": a != 3, "gt": a > 2, "ge": a >= b,
            "true": bool(a), "and": a > 1 and b > 1, "or": a > 2 or b > 2, "not": a != 3,
        }  # fmt: skip
        same(stage.run(decide, a, b), expected, f"what was taken for {a} and {b}")


def conditions_nest(stage: Stage) -> None:
    """Inside of a side there may be another condition; values leave both through ``first_of``."""

    @pipeline
    def nested(a: int, b: int) -> Any:
        x, y = give(a), give(b)
        with when(x > 0):
            with when(y > 0):
                both = give("both")
            with otherwise():
                only_x = give("x")
            inside = first_of(both, only_x)
            said = give([inside, y])
        with otherwise():
            with when(y > 0):
                only_y = give("y")
        return first_of(said, only_y, default="none"), first_of(both, only_y, default=x)

    same(stage.run(nested, 1, 1), (["both", 1], "both"), "both")
    same(stage.run(nested, 1, 0), (["x", 0], 1), "only the first")
    same(stage.run(nested, 0, 1), ("y", "y"), "only the second")
    same(stage.run(nested, 0, 0), ("none", 0), "none")


def a_choice_without_a_default_may_fail(stage: Stage) -> None:
    """That none of the values of ``first_of`` was made, without a default, is an error that says so and where."""

    @pipeline
    def choose(x: int) -> Any:
        with when(give(x) > 0):
            made = give("made")
        return give(first_of(made))

    same(stage.run(choose, 1), "made", "the value")
    raises(DefinitionError, lambda: stage.run(choose, 0), "first_of()", ".py:", "no default")


def waiting_for_what_was_skipped_is_satisfied(stage: Stage) -> None:
    """A call ``after`` one that was skipped runs."""

    @pipeline
    def skipping() -> Any:
        with when(give(0) > 0):
            skipped = boom()
        last = give.after(skipped)("ran")
        with steps():
            with when(give(0) > 0):
                boom()
            behind = give("behind")
        return last, behind

    same(stage.run(skipping), ("ran", "behind"), "the results")


def sides_see_what_is_around_them(stage: Stage) -> None:
    """Tasks in a branch use results from outside of it, and fail the run when they raise."""

    @pipeline
    def around(x: int) -> Any:
        outside, flag = give([x]), give(x)
        with when(flag == 1):
            inside = give({"outside": outside})
            deeper = give([inside["outside"], outside])
        with otherwise():
            boom("no side")
        return first_of(deeper, default=None)

    same(stage.run(around, 1), [[1], [1]], "the result")
    raises(ValueError, lambda: stage.run(around, 2), "no side")


def an_exit_handler_is_told_how_it_ended(stage: Stage) -> None:
    """The handler runs after success and failure, gets the outcome, and does not change the result."""

    @task
    def handler(outcome: ExitOutcome) -> Any:
        return outcome.status, outcome.pipeline, [failure[1:] for failure in outcome.failures]

    @pipeline(on_exit=handler, name="watched")
    def watched(text: str) -> Any:
        return boom(text) if text else give(5)

    @pipeline(on_exit=handler)
    def choosing() -> Any:
        a, b = give(1), give(2)
        with when(a < b):
            made = give("made")
        return first_of(made, default="not made")

    run = stage.finish(choosing)
    same((run.result(), run.result("handler")[0]), ("made", "succeeded"), "after conditions over several results")
    run = stage.finish(watched, "")
    same((run.result(), run.result("handler")), (5, ("succeeded", "watched", [])), "after success")
    run = stage.finish(watched, "bad")
    raises(ValueError, run.result, "bad")
    same(run.result("handler"), ("failed", "watched", [("ValueError", "bad")]), "after failure")


def an_exit_handler_runs_after_cancellation(stage: Stage) -> None:
    """A run that is cancelled still tells its handler."""
    stage.asks("has_processes")

    @task
    def handler(outcome: ExitOutcome) -> str:
        return outcome.status

    @pipeline(on_exit=handler)
    def long() -> Any:
        return note("x", lasts_s=30)

    run = stage.start(long)
    _until(lambda: run.nodes["note"].status == "running", stage.patience_s)
    run.cancel()
    same(run.wait(stage.patience_s), "cancelled", "the status")
    same(run.result("handler"), "cancelled", "what the handler was told")
    raises(RunCancelledError, run.result, run.id)


def a_failing_exit_handler_fails_the_run(stage: Stage) -> None:
    """An error of the handler is the run's, unless a task had failed before."""

    @task
    def handler(outcome: ExitOutcome) -> None:
        raise LookupError("in the handler")

    @pipeline(on_exit=handler)
    def watched(text: str) -> Any:
        return boom(text) if text else give(5)

    raises(LookupError, lambda: stage.run(watched, ""), "in the handler")
    raises(ValueError, lambda: stage.run(watched, "in the body"), "in the body", "handler")


def an_exit_handler_is_tried_again(stage: Stage) -> None:
    """A handler with retries is tried again like any task."""
    count = stage.counter()

    @task(retries=2, backoff=0)
    def handler(outcome: ExitOutcome) -> str:
        count.up()
        if count.count < 2:
            raise ConnectionError("not yet")
        return outcome.status

    @pipeline(on_exit=handler)
    def watched() -> Any:
        return give(5)

    run = stage.finish(watched)
    same(
        (run.result(), run.result("handler"), count.count), (5, "succeeded", 2), "result, handler's result and attempts"
    )


def _in_order(before: list[Span], behind: list[Span]) -> None:
    last, first = max(span.end for span in before), min(span.start for span in behind)
    holds(last <= first, f"what comes first ended ({last:.3f}) before the rest started ({first:.3f})")


def _until(is_true: Any, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not is_true():
        holds(time.monotonic() < end, f"it came true within {timeout_s} s")
        time.sleep(0.02)


LAWS = (
    calls_without_order_need_not_wait,
    steps_follow_each_other,
    after_and_arrows_are_kept,
    maps_and_pipelines_wait_as_a_whole,
    a_pipeline_may_be_ordered_by_its_calls,
    one_side_of_a_condition_runs,
    all_comparisons_decide,
    conditions_nest,
    a_choice_without_a_default_may_fail,
    waiting_for_what_was_skipped_is_satisfied,
    sides_see_what_is_around_them,
    an_exit_handler_is_told_how_it_ended,
    an_exit_handler_runs_after_cancellation,
    a_failing_exit_handler_fails_the_run,
    an_exit_handler_is_tried_again,
)

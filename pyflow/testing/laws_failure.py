"""What executors owe to failures: the author's error with its frames, retries, time-outs, and what is kept."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
import traceback
from typing import Any

from pyflow.api import pipeline
from pyflow.errors import DefinitionError, NotSerializableError, TaskError, TaskTimeoutError
from pyflow.testing.claims import full_text, holds, raises, same
from pyflow.testing.stage import Stage
from pyflow.tracing import task


@task
def give(value: Any) -> Any:
    return value


@task
def boom(text: str = "boom") -> Any:
    raise ValueError(text)


class PlainError(Exception):
    """Can be rebuilt anywhere."""


class OddError(Exception):
    """Python cannot rebuild it from its arguments."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"code {code}: {detail}")
        self.code = code


class LockedError(Exception):
    """Holds something that cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class MuteError(Exception):
    """Cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def the_error_is_the_authors(stage: Stage) -> None:
    """The caller catches the type that the task raised, with its arguments and attributes, however unusual its constructor."""

    @task
    def fail(kind: str) -> Any:
        if kind == "key":
            raise KeyError("missing", 5)
        if kind == "os":
            raise FileNotFoundError(2, "not there", "x.csv")
        if kind == "odd":
            raise OddError(7, "odd")
        error = PlainError("plain")
        error.hint = {"a": 1}  # type: ignore[attr-defined]
        raise error

    @pipeline
    def failing(kind: str) -> Any:
        return give(fail(kind))

    same(raises(KeyError, lambda: stage.run(failing, "key")).args, ("missing", 5), "the arguments")
    same(raises(FileNotFoundError, lambda: stage.run(failing, "os")).filename, "x.csv", "the file")
    same(raises(OddError, lambda: stage.run(failing, "odd"), "code 7: odd").code, 7, "the code")
    same(vars(raises(PlainError, lambda: stage.run(failing, ""), "plain"))["hint"], {"a": 1}, "the attribute")


def the_traceback_is_the_authors(stage: Stage) -> None:
    """The traceback shows the lines of the author's file, down to the one that raised, and no frame of the runtime."""
    source = (
        "from pyflow import task, pipeline\n"  # line 1
        "def divide(a, b):\n"
        "    return a / b\n"  # line 3
        "@task\n"
        "def ratio(a, b):\n"
        "    return divide(a, b)\n"  # line 6
        "@pipeline\n"
        "def rate(a, b):\n"
        "    return ratio(a, b)\n"
    )
    with stage.module(source) as module:
        error = raises(ZeroDivisionError, lambda: stage.run(module.rate, 1, 0), "division by zero")
        frames = traceback.extract_tb(error.__traceback__)
        mine = [(f.name, f.lineno) for f in frames if f.filename == module.__file__]
        same(mine, [("ratio", 6), ("divide", 3)], f"the author's frames of {frames}")
        runtime = [f.filename for f in frames if f"{os.sep}runtime{os.sep}" in f.filename]
        same(runtime, [], "frames of the runtime")
        holds("return a / b" in "".join(traceback.format_exception(error)), "the source line is shown")


def the_notes_say_where_to_look(stage: Stage) -> None:
    """A note names task with map index, run, and the command that shows the log."""

    @pipeline(fail_fast=False)
    def failing() -> Any:
        return boom.map(["a", "b"])

    run = stage.finish(failing)
    raises(ValueError, run.result, "boom[0]", run.id, f"pyflow logs {run.id}", "boom[1]")


def the_cause_is_kept(stage: Stage) -> None:
    """The error's causes are told, as text where they cannot be rebuilt."""

    @task
    def wrap() -> Any:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    @pipeline
    def failing() -> Any:
        return wrap()

    error = raises(ValueError, lambda: stage.run(failing), "second")
    text = "".join(traceback.format_exception(error)) + full_text(error)
    holds("KeyError: 'first'" in text, "the cause is in the text")


def an_error_that_cannot_be_rebuilt_arrives_as_text(stage: Stage) -> None:
    """Errors that hold locks or have no text, and exits, arrive as TaskError with their traceback."""

    @task
    def fail(kind: str) -> Any:
        if kind == "locked":
            raise LockedError("locked")
        if kind == "mute":
            raise MuteError
        if kind == "exit":
            sys.exit("so long")
        raise KeyboardInterrupt

    @pipeline
    def failing(kind: str) -> Any:
        return fail(kind)

    texts = {"locked": "LockedError: locked", "exit": "SystemExit: so long", "interrupt": "KeyboardInterrupt"}
    for kind, text in texts.items():
        error = raises(TaskError, lambda kind=kind: stage.run(failing, kind), text)  # type: ignore[misc]
        same((error.node, error.attempt), ("fail", 1), f"node and attempt of {kind}")
    run = stage.finish(failing, "mute")
    raises(type(run.failure()), run.result)
    same(run.status, "failed", "the status")


def any_exception_ends_in_a_failure(stage: Stage) -> None:
    """Endless recursion, StopIteration, a very long message, and groups of errors are failures like any other."""

    @task
    def fail(kind: str) -> Any:
        if kind == "deep":
            return fail(kind)
        if kind == "stop":
            raise StopIteration(3)
        if kind == "long":
            raise ValueError("x" * 5_000_000)
        return next(iter(()))

    @pipeline
    def failing(kind: str) -> Any:
        return fail(kind)

    raises(RecursionError, lambda: stage.run(failing, "deep"))
    same(raises(StopIteration, lambda: stage.run(failing, "stop")).value, 3, "the value")
    run = stage.finish(failing, "long")
    holds(type(run.failure()) in {ValueError, TaskError}, "the long message arrives, or a TaskError does")


def a_result_that_cannot_be_stored_fails_its_task(stage: Stage) -> None:
    """The error names the task and the part that cannot be stored, and the task counts as failed."""

    @task
    def fail(kind: str) -> Any:
        return {"list": [1, {"lock": threading.Lock()}], "generator": (x for x in [1])}[kind]

    @pipeline
    def failing(kind: str) -> Any:
        return give(fail(kind))

    run = stage.finish(failing, "list")
    raises(NotSerializableError, run.result, "'fail'", "[1]['lock']", "lock")
    same((run.status, run.nodes["fail"].status, run.nodes["give"].status), ("failed", "failed", "cancelled"), "status")
    raises(NotSerializableError, lambda: stage.run(failing, "generator"), "'fail'", "generator")


def an_argument_that_cannot_be_stored_stops_the_run(stage: Stage) -> None:
    """A constant that cannot be pickled is named before anything runs."""

    @pipeline
    def wrong(value: Any) -> Any:
        return give(value)

    raises(NotSerializableError, lambda: stage.run(wrong, {"deep": [threading.Lock()]}), "['deep'][0]", "give")


def tasks_are_tried_again(stage: Stage) -> None:
    """``retries=n`` makes up to n more attempts; the attempts are counted, and the last error is the one that is told."""
    count = stage.counter()

    @task(retries=2, backoff=0)
    def flaky(good: int) -> int:
        number = count.up()
        if number < good:
            raise ConnectionError(f"attempt {number}")
        return number

    @pipeline
    def trying(good: int) -> Any:
        return flaky(good)

    run = stage.finish(trying, 3)
    same((run.result(), run.nodes["flaky"].attempts), (3, 3), "the result and the attempts")
    run = stage.finish(trying, 100)
    raises(ConnectionError, run.result, "attempt 6", "attempt 3")
    same((count.count, run.nodes["flaky"].attempts), (6, 3), "attempts in all, and in this run")


def only_some_errors_are_tried_again(stage: Stage) -> None:
    """With ``retry_on`` other errors are final at once, and so is a result that cannot be stored."""
    count = stage.counter()

    @task(retries=3, backoff=0, retry_on=(ConnectionError, PlainError))
    def picky(kind: str) -> Any:
        number = count.up()
        if kind == "lock":
            return threading.Lock()
        raise {"reset": ConnectionResetError, "plain": PlainError, "value": ValueError}[kind](number)

    @pipeline
    def trying(kind: str) -> Any:
        return picky(kind)

    for kind, error, attempts in (("reset", ConnectionResetError, 4), ("plain", PlainError, 4), ("value", ValueError, 1),
                                  ("lock", NotSerializableError, 1)):  # fmt: skip
        before = count.count
        raises(error, lambda kind=kind: stage.run(trying, kind))  # type: ignore[misc]
        same(count.count - before, attempts, f"attempts after {error.__name__}")


def exits_are_not_tried_again(stage: Stage) -> None:
    """``sys.exit`` in a task is a decision, and not a reason for another attempt."""
    count = stage.counter()

    @task(retries=3, backoff=0)
    def leave() -> Any:
        count.up()
        sys.exit(3)

    @pipeline
    def trying() -> Any:
        return leave()

    raises(TaskError, lambda: stage.run(trying), "SystemExit: 3")
    same(count.count, 1, "attempts")


def pauses_between_attempts_grow(stage: Stage) -> None:
    """``backoff`` is the first pause, and it doubles; other tasks need not wait for it."""

    @task(retries=2, backoff=0.1)
    def flaky(path: str) -> list[float]:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{time.time()}\n")
        with open(path, encoding="utf-8") as file:
            times = [float(line) for line in file]
        if len(times) < 3:
            raise ConnectionError
        return times

    @pipeline
    def trying(path: str) -> Any:
        return flaky(path)

    first, second, third = stage.run(trying, str(stage.shared / "times"))
    holds(second - first >= 0.09, f"the first pause took {second - first:.3f} s")
    holds(third - second >= 0.19, f"the second pause took {third - second:.3f} s")


def a_timeout_ends_a_task(stage: Stage) -> None:
    """A task that runs longer than ``timeout`` fails with TaskTimeoutError, and may be tried again."""
    count = stage.counter()

    @task(timeout=3, retries=1, backoff=0)
    def slow(good: int) -> int:
        if count.up() < good:
            time.sleep(60)
        return good

    @pipeline
    def waiting(good: int) -> Any:
        return slow(good)

    same(stage.run(waiting, 2), 2, "the result of the second attempt")
    error = raises(TaskTimeoutError, lambda: stage.run(waiting, 100), "slow", "3 s")
    same((error.node, error.attempt), ("slow", 2), "node and attempt")


def a_timeout_cannot_be_caught(stage: Stage) -> None:
    """A task that catches what should have ended it, and returns something, has failed all the same."""

    @task(timeout=2)
    def stubborn() -> str:
        with contextlib.suppress(BaseException):  # what a bare except does
            time.sleep(60)
        return "as if nothing had happened"

    @pipeline
    def catching() -> Any:
        return stubborn()

    error = raises(TaskTimeoutError, lambda: stage.run(catching), "stubborn", "2 s")
    same((error.node, error.attempt), ("stubborn", 1), "node and attempt")


def a_timeout_ends_children_too(stage: Stage) -> None:
    """What a task has started ends with it."""
    stage.asks("has_processes")
    beats = stage.shared / "beats"

    @task(timeout=3)
    def parent(path: str) -> None:
        beat = f"while :; do echo >> {path}; sleep 0.05; done"
        subprocess.run(["sh", "-c", f"({beat}) & ({beat})"], check=True)

    @pipeline
    def family() -> Any:
        return parent(str(beats))

    raises(TaskTimeoutError, lambda: stage.run(family))
    count = beats.stat().st_size
    holds(count > 0, "the children had begun")
    time.sleep(0.3)  # six beats
    same(beats.stat().st_size, count, "the beats of children after the time-out")


def a_failure_stops_what_comes_after(stage: Stage) -> None:
    """After the first failure nothing new starts, and what has ended is kept and can be read."""
    count = stage.counter()

    @task
    def follow(value: Any) -> Any:
        count.up()
        return value

    @pipeline
    def failing() -> Any:
        done = give.with_options(name="done")("kept")
        bad = boom.after(done)()
        return follow(bad), follow.after(bad)(1)

    run = stage.finish(failing)
    raises(ValueError, run.result, "boom")
    same(
        (run.status, run.nodes["boom"].status, run.nodes["follow"].status), ("failed", "failed", "cancelled"), "states"
    )
    same((run.result("done"), count.count), ("kept", 0), "what is kept, and how often a follower ran")


def independent_branches_may_go_on(stage: Stage) -> None:
    """With ``fail_fast=False`` all that does not depend on the failure runs; the run fails all the same."""

    @pipeline(fail_fast=False)
    def failing() -> Any:
        bad = boom()
        lost = give.with_options(name="lost")(bad)
        other = give.with_options(name="other")(give.map([1, 2]))
        last = give.with_options(name="last")([other])
        return lost, last

    run = stage.finish(failing)
    raises(ValueError, run.result, "boom")
    same(run.result("last"), [[1, 2]], "what did not depend on it")
    same((run.nodes["lost"].status, run.nodes["last"].status), ("cancelled", "succeeded"), "states")


def the_first_failure_in_order_is_told(stage: Stage) -> None:
    """Of several failures the caller gets the one whose task was called first; the others are in the notes."""

    @pipeline(fail_fast=False)
    def failing() -> Any:
        late = boom.with_options(name="late").after(give(1))("one")
        return late, boom.with_options(name="soon")("two"), boom.map(["three"])

    error = raises(ValueError, lambda: stage.run(failing), "one", "'late'", "'soon' (ValueError: two)", "boom[0]")
    same(str(error), "one", "the message")


def failures_of_a_wide_map_fit_a_screen(stage: Stage) -> None:
    """However many items fail, the notes stay short and say how many more there are."""

    @pipeline(fail_fast=False)
    def failing() -> Any:
        return boom.with_options(batch=50).map([f"item {i}" for i in range(50)])

    error = raises(ValueError, lambda: stage.run(failing), "item 0", "39 more")
    holds(full_text(error).count("\n") < 25, "the text has less than 25 lines")


def an_error_in_a_batch_of_retries_keeps_its_type(stage: Stage) -> None:
    """Items of a map are tried again each for itself, and the error of the last attempt is of the author's type."""
    count = stage.counter()

    @task(retries=1, backoff=0)
    def half(x: int) -> int:
        if x == 1:
            count.up()
            raise OverflowError(x)
        return x

    @pipeline(fail_fast=False)
    def failing() -> Any:
        return half.map([0, 1, 2])

    run = stage.finish(failing)
    raises(OverflowError, run.result, "half[1]", "attempt 2")
    same((count.count, run.result("half", 2)), (2, 2), "attempts, and another item's result")


def definitions_are_checked_before_a_run(stage: Stage) -> None:
    """A mistake in the body stops the call with DefinitionError."""

    @pipeline
    def wrong() -> Any:
        return give(1) + 1

    raises(DefinitionError, lambda: stage.run(wrong), "give")


LAWS = (
    the_error_is_the_authors,
    the_traceback_is_the_authors,
    the_notes_say_where_to_look,
    the_cause_is_kept,
    an_error_that_cannot_be_rebuilt_arrives_as_text,
    any_exception_ends_in_a_failure,
    a_result_that_cannot_be_stored_fails_its_task,
    an_argument_that_cannot_be_stored_stops_the_run,
    tasks_are_tried_again,
    only_some_errors_are_tried_again,
    exits_are_not_tried_again,
    pauses_between_attempts_grow,
    a_timeout_ends_a_task,
    a_timeout_cannot_be_caught,
    a_timeout_ends_children_too,
    a_failure_stops_what_comes_after,
    independent_branches_may_go_on,
    the_first_failure_in_order_is_told,
    failures_of_a_wide_map_fit_a_screen,
    an_error_in_a_batch_of_retries_keeps_its_type,
    definitions_are_checked_before_a_run,
)

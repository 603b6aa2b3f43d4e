"""One program, run as a pipeline and evaluated by the reference: the same values, or the same failures."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

from property.programs import PLAIN, build, numbered
from property.reference import MISSING, Frame, Reference

from pyflow import Run, pipeline
from pyflow.api import Pipeline


def check(
    statements: list[Any], submit: Callable[[Pipeline[[int], Any]], Run], *, fail_fast: bool, patience_s: float = 60
) -> None:
    """Run one program on an executor and in the reference, and compare all values or all failures.

    Args:
        statements: The program.
        submit: Starts a pipeline with the argument 5 where it is to be tried.
        fail_fast: Whether the first failure ends it.
        patience_s: How long it may take.
    """
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    numbers = numbered(statements, itertools.count())

    @pipeline(fail_fast=fail_fast, name="random")
    def made(x):
        ints, lists = [x, 4], [[1, 2, 3]]
        last = build(numbers, ints, lists, [])
        return last, ints, lists

    reference = Reference(PLAIN)
    ints, lists = [5, 4], [[1, 2, 3]]
    expected = reference.run(numbers, ints, lists, [], Frame()), ints, lists
    run = submit(made)
    assert run.wait(patience_s) == ("failed" if reference.failures else "succeeded")
    if not reference.failures:
        assert run.result() == expected
        return
    failures = sorted(reference.failures)
    told = [(type(run.failure()).__name__, "" if is_choice(run.failure()) else str(run.failure()))]
    known = [failure[2:] for failure in failures]
    assert told[0] == known[0] if not fail_fast else told[0] in known
    if not fail_fast:
        found = [
            (kind.rpartition(".")[2], "" if "Definition" in kind else text) for _, _, kind, text in run.summary.failures
        ]
        assert found == known[:20]
        check_what_is_kept(run, numbers, ints)


def check_what_is_kept(run: Any, program: list[Any], ints: list[Any]) -> None:
    """Results that are not missing can be read."""
    made = [me for me, kind, *_ in program[:-1] if kind not in {"map", "sub", "numbers"}]
    kinds = {me: kind for me, kind, *_ in program}
    for me, value in zip(made, ints[2:], strict=True):
        if kinds[me] not in {"inline", "when"} and value is not MISSING:
            assert run.result(f"s{me}") == value


def is_choice(error: BaseException) -> bool:
    return type(error).__name__ == "DefinitionError"

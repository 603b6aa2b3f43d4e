"""Random pipelines (maps, nested maps, branches, order, failures, retries) do what the reference says, everywhere."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from property import programs
from property.programs import PLAIN, build, numbered, program
from property.reference import MISSING, Frame, Reference

from pyflow import pipeline

FOLDER = Path(tempfile.gettempdir())


def check(statements: list[Any], executor: str, *, fail_fast: bool) -> None:
    """Run one program on an executor and in the reference, and compare all values or all failures."""
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
    run = made.with_options(executor=executor, store=str(FOLDER / "store"), progress=False).submit(5)
    assert run.wait(60) == ("failed" if reference.failures else "succeeded")
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


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory, monkeypatch):
    """One folder for all examples, so that workers can be used again."""
    global FOLDER
    FOLDER = tmp_path_factory.getbasetemp() / "pipelines"
    FOLDER.mkdir(exist_ok=True)
    programs.COUNTS = FOLDER
    monkeypatch.chdir(FOLDER)


EXAMPLES = int(os.environ.get("PYFLOW_TEST_EXAMPLES", "150"))
SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize="CI" in os.environ)


@settings(SLOW, max_examples=EXAMPLES)
@given(program)
def test_inprocess_agrees_with_the_reference(statements):
    """Values, or all failures in the order of the trace, are those of the reference."""
    check(statements, "inprocess", fail_fast=False)


@settings(SLOW, max_examples=EXAMPLES // 4)
@given(program)
def test_the_first_failure_is_one_of_the_references(statements):
    """With ``fail_fast`` a run fails exactly when the reference does, with one of its failures."""
    check(statements, "inprocess", fail_fast=True)


@settings(SLOW, max_examples=EXAMPLES // 4)
@given(program, st.booleans())
def test_local_agrees_with_the_reference(statements, fail_fast):
    """The same on a pool of workers."""
    check(statements, "local", fail_fast=fail_fast)

"""Random pipelines (maps, nested maps, branches, order, failures, retries) do what the reference says, everywhere."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from property import programs
from property.comparison import check
from property.random_programs import program

FOLDER = Path(tempfile.gettempdir())


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory, monkeypatch):
    """One folder for all examples, so that workers can be used again."""
    global FOLDER
    FOLDER = tmp_path_factory.getbasetemp() / "pipelines"
    FOLDER.mkdir(exist_ok=True)
    programs.COUNTS = FOLDER
    monkeypatch.chdir(FOLDER)


def submit(made, executor):
    return made.with_options(executor=executor, store=str(FOLDER / "store"), progress=False).submit(5)


EXAMPLES = int(os.environ.get("PYFLOW_TEST_EXAMPLES", "150"))
SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize="CI" in os.environ)


@settings(SLOW, max_examples=EXAMPLES)
@given(program)
def test_inprocess_agrees_with_the_reference(statements):
    """Values, or all failures in the order of the trace, are those of the reference."""
    check(statements, partial(submit, executor="inprocess"), fail_fast=False)


@settings(SLOW, max_examples=EXAMPLES // 4)
@given(program)
def test_the_first_failure_is_one_of_the_references(statements):
    """With ``fail_fast`` a run fails exactly when the reference does, with one of its failures."""
    check(statements, partial(submit, executor="inprocess"), fail_fast=True)


@settings(SLOW, max_examples=EXAMPLES // 4)
@given(program, st.booleans())
def test_local_agrees_with_the_reference(statements, fail_fast):
    """The same on a pool of workers."""
    check(statements, partial(submit, executor="local"), fail_fast=fail_fast)

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
from property.reference import MISSING, Frame, Reference, pick

from pyflow import first_of, otherwise, pipeline, task, when

FOLDER = Path(tempfile.gettempdir())


@task
def add(x, y):
    return (x + y) % 1000


@task
def risky(x):
    if x % 3 == 0:
        raise ValueError(f"{x} is a multiple of three")
    return x


@task(retries=1, backoff=0)
def dead(x):
    raise LookupError(f"never {x}")


@task(retries=2, backoff=0)
def heal(x, key):
    with Path(key).open("ab") as file:
        file.write(b".")
        if file.tell() <= 2:
            raise ConnectionError(key)
    return x + 1


@task
def numbers(x):
    return [x + i for i in range(x % 4)]


@task
def total(xs):
    return sum(xs) % 1000


@task
def first(xs):
    return xs[0]


@task
def plus(x):
    return x + 1


TASKS = {"add": add, "risky": risky, "dead": dead, "numbers": numbers, "total": total, "first": first, "plus": plus}
PLAIN = {**{name: each.fn for name, each in TASKS.items()}, "heal": lambda x: x + 1}

number = st.integers(0, 99)
an_int, a_list = st.tuples(number, st.just(False)), st.tuples(number, st.just(True))  # noqa: FBT003
call = st.one_of(
    st.tuples(st.just("add"), an_int, an_int),
    st.tuples(st.just("risky"), an_int),
    st.tuples(st.just("heal"), an_int),
    st.tuples(st.just("numbers"), an_int),
    st.tuples(st.just("numbers"), an_int),
    st.tuples(st.just("total"), a_list),
    st.tuples(st.just("first"), a_list),
    st.tuples(st.just("after"), number, number),
    st.tuples(st.just("map"), number, st.sampled_from(["plus", "plus", "risky"]), st.integers(1, 3)),
)
rare = st.tuples(st.just("dead"), an_int)
statement = st.deferred(
    lambda: st.one_of(
        call,
        call,
        call,
        rare,
        st.tuples(st.just("sub"), number, number, program),
        st.tuples(st.just("inline"), number, program),
        st.tuples(st.just("when"), number, st.integers(0, 8), program, st.none() | program, st.none() | st.just(7)),
    )
)
program = st.lists(statement, max_size=5)


def numbered(statements: list[Any], count: itertools.count) -> list[Any]:
    """The program with a number for each statement, in the order of the trace, and one for its result."""
    made = []
    for kind, *rest in statements:
        mine = next(count)
        if kind in {"sub", "inline", "when"}:
            rest = [numbered(part, count) if isinstance(part, list) else part for part in rest]
        made.append((mine, kind, *rest, *([next(count)] if kind == "when" else [])))
    return [*made, (next(count), "result")]


def build(program: list[Any], ints: list[Any], lists: list[Any], calls: list[Any]) -> Any:
    """Interpret a program in the body of a pipeline that is traced: as the reference does, but with placeholders."""
    for me, kind, *rest in program[:-1]:
        name = f"s{me}"
        if kind == "map":
            which, what, batch = rest
            lists.append(TASKS[what].with_options(name=name, batch=batch).map(pick(lists, which)))
        elif kind == "sub":
            which, other, inner = rest
            lists.append(body_of(inner, name).map(pick(lists, which), y=pick(ints, other)))
        elif kind == "inline":
            which, inner = rest
            ints.append(called(inner, name, list(lists))(pick(ints, which)))
        elif kind == "when":
            ints.append(branch(name, rest, ints, lists, calls))
        elif kind == "after":
            which, other = rest
            waiting = add.with_options(name=name)
            ints.append((waiting.after(pick(calls, other)) if calls else waiting)(pick(ints, which), 1))
            calls.append(ints[-1])
        elif kind == "heal":
            ints.append(heal.with_options(name=name)(pick(ints, rest[0][0]), str(FOLDER / os.urandom(8).hex())))
            calls.append(ints[-1])
        else:
            args = [pick(lists if wants_list else ints, which) for which, wants_list in rest]
            (lists if kind == "numbers" else ints).append(TASKS[kind].with_options(name=name)(*args))
            calls.append((lists if kind == "numbers" else ints)[-1])
    return add.with_options(name=f"s{program[-1][0]}")(ints[-1], 1)


def branch(name: str, rest: list[Any], ints: list[Any], lists: list[Any], calls: list[Any]) -> Any:
    which, limit, then, other, default, _ = rest
    value = pick(ints, which)
    if isinstance(value, int):
        value = plus.with_options(name=f"{name}c")(value - 1)
    with when(value > limit):
        values = [build(then, list(ints), list(lists), list(calls))]
    if other is not None:
        with otherwise():
            values.append(build(other, list(ints), list(lists), list(calls)))
    return first_of(*values) if default is None or other is not None else first_of(*values, default=default)


def body_of(inner: list[Any], name: str) -> Any:
    @pipeline(name=name)
    def body(x, *, y):
        return build(inner, [x, y], [[1, 2]], [])

    return body


def called(inner: list[Any], name: str, lists: list[Any]) -> Any:
    @pipeline(name=name)
    def body(x):
        return build(inner, [x], lists, [])

    return body


def check(statements: list[Any], executor: str, *, fail_fast: bool) -> None:
    """Run one program on an executor and in the reference, and compare all values or all failures."""
    FOLDER.mkdir(exist_ok=True)
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    program = numbered(statements, itertools.count())

    @pipeline(fail_fast=fail_fast, name="random")
    def made(x):
        ints, lists = [x, 4], [[1, 2, 3]]
        last = build(program, ints, lists, [])
        return last, ints, lists

    reference = Reference(PLAIN)
    ints, lists = [5, 4], [[1, 2, 3]]
    expected = reference.run(program, ints, lists, [], Frame()), ints, lists
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
        check_what_is_kept(run, program, ints)


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

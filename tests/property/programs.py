"""Programs as data → the pipelines that they stand for. Tasks travel with this module, so it needs nothing but pyflow."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

from property.reference import pick

from pyflow import first_of, otherwise, pipeline, task, when

COUNTS = Path(tempfile.gettempdir())
"""Where ``heal`` counts its attempts; tests set it."""


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


def numbered(statements: list[Any], count: itertools.count) -> list[Any]:
    """The program with a number for each statement, in the order of the trace, and one for its result."""
    made = []
    for kind, *parts in statements:
        mine = next(count)
        rest = [numbered(part, count) if isinstance(part, list) else part for part in parts]
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
            ints.append(heal.with_options(name=name)(pick(ints, rest[0][0]), str(COUNTS / os.urandom(8).hex())))
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

"""How values given to tasks become expressions."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from pyflow.graph import Build, Literal, Ref, Secret, Volume
from pyflow.tracing import task


@task
def one(x=0):
    return x


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass(frozen=True)
class Config:
    a: Any
    b: Any = 2


def test_placeholders_are_found_at_any_depth(traced):
    """Lists, tuples, dicts, dataclasses and named tuples are put together again when the values are there."""

    def body():
        a = one()
        return one([a, {"k": (a["p"], [Point(1, a)])}, Config(a)])

    assert traced(body).region.nodes[1].args == (
        Build(
            "list",
            (
                Ref(0),
                Build(
                    "dict",
                    (
                        Build(
                            "tuple",
                            (
                                Ref(0, (("item", "p"),)),
                                Build("list", (Build("object", (Literal(1), Ref(0)), ("x", "y"), Point),)),
                            ),
                        ),
                    ),
                    ("k",),
                ),
                Build("object", (Ref(0), Literal(2)), ("a", "b"), Config),
            ),
        ),
    )


def test_known_containers_are_taken_as_they_are_now(traced):
    """What the body does to a list after the call is not seen by the task; shared parts stay shared."""
    shared = [1]
    given = {"l": [1, {2}], "s": (shared, shared), "b": bytearray(b"x")}

    def body():
        one(given)
        given["l"].append(3)
        given["l"][1].add(4)
        shared.append(5)
        given["new"] = 1

    (literal,) = traced(body).region.nodes[0].args
    assert literal == Literal({"l": [1, {2}], "s": ([1], [1]), "b": bytearray(b"x")})
    assert literal.value["s"][0] is literal.value["s"][1]


def test_other_objects_are_taken_by_reference(traced):
    """An instance without placeholders is the very object."""
    config = Config(1)
    thing = object()
    args = [node.args[0].value for node in traced(lambda: [one(config), one(thing), one([thing])]).walk()]
    assert args[0] is config
    assert args[1] is thing
    assert args[2][0] is thing


def test_cycles_of_known_values_are_kept(traced):
    """A list that holds itself, and a tuple in a list in it, arrive as they were."""
    loop: list[Any] = [1]
    loop.append(loop)
    loop.append((loop,))
    (literal,) = traced(lambda: one(loop)).region.nodes[0].args
    assert literal.value is not loop
    assert literal.value[1] is literal.value
    assert literal.value[2][0] is literal.value


def test_a_cycle_around_a_placeholder_is_refused(fault):
    """A structure that holds itself and a placeholder cannot be put together."""

    def body():
        loop = [one()]
        loop.append(loop)
        one(loop)

    message = fault(body)
    assert "is a list that holds itself and a placeholder" in message
    assert "An argument of 'one'" in message


@pytest.mark.parametrize("kind", [collections.OrderedDict, lambda v: collections.defaultdict(int, v)])
def test_other_containers_cannot_hold_a_placeholder(fault, kind):
    """A subclass of dict with a placeholder is refused by name, instead of being lost."""
    message = fault(lambda: one(x=kind({"k": one()})))
    assert "Argument 'x' of 'one'" in message
    assert "that holds the result of 'one'" in message


@pytest.mark.parametrize(
    ("held", "instead"),
    [(Secret("db"), "env={\"TOKEN\": Secret('db')}"), (Volume.named("data"), "volumes={'/mnt/data': ...}")],
)
def test_secrets_and_volumes_are_no_arguments(fault, held, instead):
    """A task would get the name of something that it cannot look up; the error says by which option it gets that."""
    assert instead in fault(lambda: one(held))
    assert instead in fault(lambda: one.map([held]))


def test_too_deep_is_an_error(fault):
    """A list nested beyond Python's limits is refused, not a crash."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested too deeply" in fault(lambda: one(deep))


def test_the_result_keeps_its_structure(traced):
    """A body may return any structure of results and constants, or nothing."""
    assert traced(lambda: {"a": (one(), [1]), "b": None}).region.output == Build(
        "dict", (Build("tuple", (Ref(0), Literal([1]))), Literal(None)), ("a", "b")
    )
    assert traced(lambda: None).region.output == Literal(None)
    assert traced(lambda: Config(one())).region.output == Build("object", (Ref(0), Literal(2)), ("a", "b"), Config)

"""Order without data: what waits for what."""

# ruff: noqa: PLW0108 (bodies are lambdas, and unpack as users do)

from __future__ import annotations

import pytest

from pyflow.graph import Graph
from pyflow.tracing import call_inline, map_inline, otherwise, parallel, steps, task, trace, when


@task
def one(x=0):
    return x


@task
def two(x=0):
    return x


def waits(graph: Graph) -> dict[str, list[str]]:
    """Who waits for whom, by name, without data."""
    names = {node.id: node.name for node in graph.walk()}
    return {node.name: [names[early] for early in node.after] for node in graph.walk() if node.after}


def test_after_waits_without_using(traced):
    """`two.after(a, b)(c)` waits for a and b; a part means its node; lists are looked into."""

    def body():
        a, b = one(), one()
        two.after(a.x, [b])(1)
        two.after(a)(a)

    assert waits(traced(body)) == {"two": ["one", "one-2"]}


def test_after_outside_a_pipeline_is_a_plain_call():
    """Where calls run as they come, after() changes nothing."""
    assert two.after(1, 2)(3) == 3


def test_shift_gives_its_right_side(traced):
    """`a >> b` gives b and `a >> [b, c]` the list, so that they chain."""

    def body():
        a, b, c, d = one(), one(), one(), one()
        assert (a >> b) is b
        assert ([a, b] >> c) is c
        a >> [b, c] >> d

    assert waits(traced(body)) == {"one-2": ["one"], "one-3": ["one", "one-2"], "one-4": ["one-2", "one-3"]}


def test_a_call_can_wait_for_a_later_one(traced):
    """After `later >> earlier`, the region stands in the new order, and ids keep the order of the calls."""

    def body():
        a = one()
        b = one(a)
        c = two()
        c >> a
        return b

    graph = traced(body)
    assert [node.id for node in graph.region.nodes] == [2, 0, 1]
    assert waits(graph) == {"one": ["two"]}


def test_steps_wait_for_the_one_before(traced):
    """In `steps()` each call waits for the one before; `parallel()` inside is one step of calls side by side."""

    def body():
        one(0)
        with steps():
            one(1)
            with parallel():
                two(1)
                with steps():
                    two(2)
                    two(3)
            one(2)
        one(3)

    assert waits(traced(body)) == {
        "two": ["one-2"],
        "two-2": ["one-2"],
        "two-3": ["two-2"],
        "one-3": ["two", "two-3"],
    }


def test_an_empty_group_changes_nothing(traced):
    """A group without calls passes the order on."""

    def body():
        with steps():
            one(1)
            with parallel():
                pass
            one(2)

    assert waits(traced(body)) == {"one-2": ["one"]}


def test_what_waits_for_data_needs_no_order(traced):
    """A step that uses the result before it is only connected once."""

    def body():
        with steps():
            two(one())

    assert waits(traced(body)) == {}


def test_steps_outside_a_pipeline_do_nothing():
    """Plain calls run in order anyway."""
    with steps(), parallel():
        assert one(1) == 1


def test_a_pipeline_can_be_ordered_by_its_calls(define):
    """order="calls" makes the whole body steps."""

    def body():
        one(1)
        with parallel():
            one(2)
            one(3)
        one(4)

    graph = trace(define(body, order="calls"))
    assert waits(graph) == {"one-2": ["one"], "one-3": ["one"], "one-4": ["one-2", "one-3"]}


def test_maps_branches_and_pipelines_are_one_step(define, traced):
    """A map, a branch and a called pipeline begin after the step before and end before the step after."""
    inner = define(lambda: [one(one(1)), two(2)], name="inner")

    def body():
        with steps():
            a = one(1)
            two.map([1])
            with when(a):
                two(5)
                two(6)
            call_inline(inner, (), {})
            map_inline(define(lambda x: one(x), name="each"), ([1],), {})

    assert waits(traced(body)) == {
        "two": ["one"],
        "when": ["two"],
        "two-3": ["two-2"],
        "inner/one": ["when"],
        "inner/two": ["when"],
        "each": ["inner/one-2", "inner/two"],
    }


def test_an_ordered_pipeline_stays_ordered_inside(define, traced):
    """A called pipeline keeps its own order of calls."""
    inner = define(lambda: [one(1), two(2)], name="inner", order="calls")
    assert waits(traced(lambda: call_inline(inner, (), {}))) == {"inner/two": ["inner/one"]}


def test_the_result_of_a_called_pipeline_stands_for_all_of_it(define, traced):
    """`a >> clean(x)` and `clean.after(a)(x)` hold back every call of it; `clean(x) >> b` waits for every call."""
    inner = define(lambda: (one(1), one(two(2)))[1], name="inner")

    def body():
        a = one(0)
        r = call_inline(inner, (), {})
        a >> r >> two(9)
        call_inline(inner, (), {}, after=(a,))

    assert waits(traced(body)) == {
        "inner/one": ["one"],
        "inner/two": ["one"],
        "two": ["inner/one", "inner/two", "inner/one-2"],
        "inner-2/one": ["one"],
        "inner-2/two": ["one"],
    }


def test_circles_are_found_at_once(fault):
    """The error walks the circle, with the line of each call, at the line that closes it."""

    def body():
        a = one()
        b = one(a)
        c = two(b)
        c >> a

    first = body.__code__.co_firstlineno
    message = fault(body)
    assert f">> at {__file__}:{first + 4} closes a circle: 'one' → 'one-2' → 'two' → 'one'" in message
    assert f"'one-2' was called at {__file__}:{first + 2}" in message


def test_longer_circles_are_found(fault):
    """Circles through order alone, through a branch, by data into one, and of one call are found, too."""

    def by_order():
        a, b, c = one(), one(), one()
        b >> a
        c >> b
        a >> c

    def through_branch():
        a = one()
        with when(a):
            b = two()
        c = one.after(b)()
        c >> b

    def into_branch():
        a = one()
        b = one()
        with when(a):
            c = two()
            c >> b
            two(b)

    def alone():
        a = one()
        a >> a

    for body, walk in (
        (by_order, "'one-3' → 'one-2' → 'one' → 'one-3'"),
        (through_branch, "'two' → 'when' → 'one-2' → 'two'"),
        (into_branch, "'when' → 'one-2' → 'when'"),
        (alone, "'one' → 'one'"),
    ):
        assert walk in fault(body)


def test_waiting_for_a_call_in_a_branch_waits_for_the_branch(traced):
    """Outside of a branch its calls are waited for as a whole; inside, calls outside are waited for directly."""

    def body():
        a = one()
        with when(a):
            b = two(1)
        c = one.after(b)()
        with when(a):
            d = two(2)
        c >> d

    assert waits(traced(body)) == {"one-2": ["when"], "two-2": ["one-2"]}


def test_two_sides_of_a_branch_have_no_order(fault):
    """Only one of them runs, and the error says so."""

    def body():
        a = one()
        with when(a):
            b = one()
        with otherwise():
            c = two()
        b >> c

    assert "'one-2' and 'two' are on two sides of the `when`" in fault(body)


@pytest.mark.parametrize(
    "wrong", [lambda a: a >> None, lambda a: 3 >> a, lambda a: a >> [], lambda a: two.after("x")(a)]
)
def test_only_calls_have_an_order(fault, wrong):
    """Something that is no result of a call cannot be waited for."""
    assert "which is not the result of a call" in fault(lambda: wrong(one()))


@pytest.mark.parametrize(
    "wrong",
    [lambda a: one >> two, lambda a: one >> a, lambda a: a >> one, lambda a: [a] >> one, lambda a: two.after(one)(a)],
)
def test_tasks_themselves_have_no_order(fault, wrong):
    """`load >> show` lacks the calls, and the error says how they are written."""
    assert fault(lambda: wrong(one())).endswith("<task one> itself, and an order is between calls. Call it: one(...).")


@pytest.mark.parametrize(
    ("block", "written"),
    [(steps, "steps()"), (parallel, "parallel()"), (otherwise, "otherwise()"), (when, "when(condition)")],
)
def test_a_block_without_its_parentheses(fault, block, written):
    """`with steps:` is told how it is written."""

    def body():
        with block:
            one()

    assert f"lacks its parentheses: write `with {written}:`." in fault(body)


def test_many_steps_stay_cheap(traced):
    """A thousand calls in a row make a thousand edges."""

    def body():
        a = one()
        for _ in range(1000):
            b = one()
            a >> b
            a = b

    assert sum(len(node.after) for node in traced(body).walk()) == 1000

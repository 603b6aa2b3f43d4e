"""``when``, ``otherwise`` and ``first_of``."""

# ruff: noqa: PLW0108 (bodies are lambdas, and unpack as users do)

from __future__ import annotations

import pytest

from pyflow.errors import DefinitionError
from pyflow.graph import BranchNode, Compare, Input, Literal, Ref, SelectNode, Truth
from pyflow.tracing import first_of, map_inline, otherwise, task, trace, trace_template, when

HERE = __file__


@task
def one(x=0):
    return x


def test_a_branch_holds_two_regions(traced):
    """Both sides become regions of one node, and first_of chooses between their values."""

    def body():
        score = one()
        with when(score > 0.9):
            a = one(score)
        with otherwise():
            b = one(2)
        return first_of(a, b["k"], default=[score])

    graph = traced(body)
    _, branch, select = graph.region.nodes
    assert isinstance(branch, BranchNode)
    assert branch.condition == Compare("gt", Ref(0), Literal(0.9))
    assert [node.id for node in branch.then.nodes] == [2]
    assert [node.id for node in branch.otherwise.nodes] == [3]
    assert branch.then.output == Literal(None)
    assert isinstance(select, SelectNode)
    assert select.candidates == (Ref(2), Ref(3, (("item", "k"),)))
    assert select.default is not None
    assert [node.name for node in graph.walk()] == ["one", "when", "one-2", "one-3", "first_of"]


def test_a_placeholder_as_condition_means_its_truth(traced):
    """`with when(flag):` asks for the truth of the value."""

    def body():
        with when(one()["ok"]):
            one()

    assert traced(body).region.nodes[1].condition == Truth(Ref(0, (("item", "ok"),)))


def test_branches_nest_and_hold_maps(define, traced):
    """Inner branches, maps and pipelines lie in the regions of the outer branch."""

    def body():
        a = one()
        with when(a):
            with when(a > 1):
                b = one(a)
            with otherwise():
                c = one.map([a])
            d = first_of(b, c)
            map_inline(define(lambda x: one(x), name="p"), ([1],), {})
        return first_of(d, a)

    branch = traced(body).region.nodes[1]
    assert [node.name for node in branch.then.nodes] == ["when-2", "first_of", "p"]
    assert [node.name for node in branch.then.nodes[0].otherwise.nodes] == ["one-3"]


def test_a_branch_in_a_map_sees_the_inputs_of_the_map(define, traced):
    """Input(i) inside a branch means the input of the map's body around it."""

    def per_item(x):
        with when(x > 1):
            a = one(x)
        return first_of(a, default=x)

    node = traced(lambda: map_inline(define(per_item), ([1, 2],), {})).region.nodes[0]
    branch, select = node.body.nodes
    assert branch.condition == Compare("gt", Input(0), Literal(1))
    assert branch.then.nodes[0].args == (Input(0),)
    assert select.default == Input(0)


def test_a_branch_value_stays_inside(fault):
    """Use outside without first_of names both lines; so does the other side, an order of values, and the result."""

    def outside():
        a = one()
        with when(a):
            b = one(1)
        one(b)

    def other_side():
        a = one()
        with when(a):
            b = one(1)
        with otherwise():
            one(b)

    def returned():
        a = one()
        with when(a):
            b = one(1)
        return [b]

    for body in (outside, other_side, returned):
        first = body.__code__.co_firstlineno
        message = fault(body)
        assert f"'one-2' (called at {HERE}:{first + 3}) was made inside the branch at {HERE}:{first + 2}" in message
        assert "first_of(value, default=...)" in message
    assert f"outside of it at {HERE}:{outside.__code__.co_firstlineno + 4}" in fault(outside)


def test_otherwise_follows_its_when(fault):
    """`otherwise` alone, after another call, or twice, is refused."""

    def alone():
        with otherwise():
            pass

    def far():
        with when(one()):
            pass
        one()
        with otherwise():
            pass

    def twice():
        with when(one()):
            pass
        with otherwise():
            pass
        with otherwise():
            pass

    assert "does not follow a `with when(...):`" in fault(alone)
    assert "the last call before it is 'one-2'" in fault(far)
    assert "is the second one of the `when`" in fault(twice)


def test_when_asks_about_results(fault):
    """A value that is known while tracing is asked by a plain `if`."""

    def body():
        with when(True):
            pass

    assert "asked by a plain `if`" in fault(body)


def test_conditions_belong_to_pipelines():
    """Outside of a pipeline, `if` is there."""
    for use in (lambda: when(1), lambda: first_of(1)):
        with pytest.raises(DefinitionError, match="use `if` and `else`"):
            use()
    with pytest.raises(DefinitionError, match="use `if` and `else`"):
        otherwise().__enter__()


def test_a_condition_made_in_a_branch_stays_there(fault):
    """A condition about a branch's value cannot be asked outside."""

    def body():
        a = one()
        with when(a):
            c = one() > 1
        with when(c):
            one()

    assert "was made inside the branch" in fault(body)


def test_an_error_in_a_branch_closes_it(traced):
    """An exception that leaves a branch leaves the trace in order."""

    def body():
        a = one()
        with pytest.raises(ZeroDivisionError):
            with when(a):
                1 / 0  # noqa: B018
        return one(a)

    assert [node.name for node in traced(body).region.nodes] == ["one", "when", "one-2"]


def test_parameters_can_be_asked_in_a_template(define):
    """A parameter that is given later can decide."""

    def body(n):
        with when(n > 3):
            one(n)

    assert trace_template(define(body)).region.nodes[0].condition == Compare("gt", Input(0), Literal(3))


def test_a_body_that_raises_is_over(define):
    """After an exception nothing is traced any more."""
    with pytest.raises(ZeroDivisionError):
        trace(define(lambda: 1 / 0))
    assert one(3) == 3

"""What placeholders allow, and the one error for everything else."""

# ruff: noqa: PLW0108, FURB171, FLY002 (bodies are lambdas, and unpack as users do)

from __future__ import annotations

import copy
import json
import math
import operator
import os
import pickle
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyflow.errors import DefinitionError
from pyflow.graph import Build, Compare, Literal, Logic, Ref, Truth
from pyflow.tracing import Placeholder, first_of, task, trace, when

HERE = __file__


@task
def one(x=0):
    return x


def test_parts_are_placeholders(traced):
    """Indexes, keys, slices and attributes give placeholders of the part."""

    def body():
        a = one()
        return a[0], a["k"], a.name, a["k"].x[1:2], a["a", "b"]

    paths = [item.path for item in traced(body).region.output.items]
    assert paths == [
        (("item", 0),),
        (("item", "k"),),
        (("attr", "name"),),
        (("item", "k"), ("attr", "x"), ("item", slice(1, 2))),
        (("item", ("a", "b")),),
    ]


def test_repr_is_harmless(traced):
    """A placeholder can be looked at: in a trace, after it, and by a debugger."""
    kept = []
    traced(lambda: kept.extend([one(), one(), one()["k"].x]))
    assert [repr(value) for value in kept] == ["<result of one>", "<result of one-2>", "<result of one-3['k'].x>"]
    assert f"{kept[0]!r}" == "<result of one>"


def test_probes_of_notebooks_and_protocols_find_nothing(traced):
    """IPython, numpy and inspect ask for attributes; a placeholder that said yes to all would mislead them."""
    asked = (
        "_repr_html_",
        "_ipython_display_",
        "_ipython_canary_method_should_not_exist_",
        "__array_interface__",
        "__wrapped__",
    )
    traced(lambda: [pytest.fail(name) for a in [one()] for name in asked if hasattr(a, name)])


def test_a_copy_stands_for_the_same(traced):
    """Copy and deepcopy of a structure keep its placeholders."""

    def body():
        a = one()
        return copy.copy(a), copy.deepcopy({"a": [a]})

    assert traced(body).region.output == Build("tuple", (Ref(0), Build("dict", (Build("list", (Ref(0),)),), ("a",))))


def made_array(item):
    array = np.empty(2, dtype=object)
    array[0] = item
    return array


OPERATIONS = {
    "bool": (bool, "with when(value)"),
    "not": (operator.not_, "with when(value)"),
    "len": (len, "len(items)"),
    "iteration": (lambda a: [i for i in a], "other_task.map(value)"),
    "list": (list, "outputs=2"),
    "+": (lambda a: a + 1, "+ cannot be used"),
    "reflected +": (lambda a: 1 + a, "+ cannot be used"),
    "-": (lambda a: 1 - a, "- cannot be used"),
    "*": (lambda a: a * 2, "* cannot be used"),
    "/": (lambda a: 2 / a, "/ cannot be used"),
    "//": (lambda a: a // 2, "// cannot be used"),
    "%": (lambda a: a % 2, "% cannot be used"),
    "**": (lambda a: 2**a, "** cannot be used"),
    "@": (lambda a: a @ a, "@ cannot be used"),
    "+=": (lambda a: operator.iadd(a, 1), "+ cannot be used"),
    "<<": (lambda a: a << 1, "a >> b"),
    "^": (lambda a: a ^ 1, "&, | and ~"),
    "unary -": (operator.neg, "- cannot be used"),
    "abs": (abs, "abs()"),
    "divmod": (lambda a: divmod(1, a), "divmod()"),
    "round": (round, "round()"),
    "floor": (math.floor, "math.floor()"),
    "sqrt": (math.sqrt, "float()"),
    "str": (str, "str()"),
    "f-string": (lambda a: f"{a}", "f-string"),
    "% formatting": (lambda a: "%s" % a, "str()"),  # noqa: UP031
    "bytes": (bytes, "bytes()"),
    "int": (int, "int()"),
    "complex": (complex, "complex()"),
    "range": (range, "range()"),
    "as an index": (lambda a: [1, 2][a], "index"),
    "as a key of itself": (lambda a: a[a], "The key is a placeholder, too"),
    "in": (lambda a: 3 in a, "`in`"),
    "sorted": (lambda a: sorted([a, a]), "The truth of the condition (one < one)"),
    "member of a list": (lambda a: a in [1], "The truth of the condition (one == 1)"),
    "chained comparison": (lambda a: 1 < a < 3, "each comparison in brackets"),
    "next": (next, "next()"),
    "reversed": (reversed, "reversed()"),
    "hash": (hash, "A set cannot hold a placeholder"),
    "set": (lambda a: {a}, "use a list"),
    "key of a dict": (lambda a: {a: 1}, "key of a dict"),
    "call": (lambda a: a(), "inside another task"),
    "method": (lambda a: a.head(3), "@task def head(value): return value.head()"),
    "** unpacking": (lambda a: dict(**a), "name the arguments"),
    "set attribute": (lambda a: setattr(a, "x", 1), "Change the value in a task"),
    "del attribute": (lambda a: delattr(a, "x"), "Change the value in a task"),
    "set item": (lambda a: operator.setitem(a, 0, 1), "Change the value in a task"),
    "del item": (lambda a: operator.delitem(a, 0), "Change the value in a task"),
    "with": (lambda a: a.__enter__(), "`with`"),
    "await": (lambda a: a.__await__(), "`await`"),
    "open": (open, "Open the file inside a task"),
    "os.path.join": (lambda a: os.path.join("a", a), "call into 'posixpath'"),  # noqa: PTH118
    "Path": (lambda a: Path("a") / a, "call into 'pathlib'"),
    "frame of it": (lambda a: one(pd.DataFrame({"a": [a]})), "a DataFrame that holds"),
    "series of it": (lambda a: {"s": pd.Series([1, a])}, "a Series that holds"),
    "array of it": (lambda a: one(x=made_array(a)), "a ndarray that holds"),
    "numpy function": (np.mean, "numpy.mean"),
    "numpy ufunc": (np.sqrt, "numpy.sqrt"),
    "numpy operator": (lambda a: np.arange(3) + a, "numpy.add"),
    "numpy scalar": (lambda a: np.float64(2) * a, "numpy.multiply"),
    "np.array": (lambda a: np.array([a, a]), "numpy"),
    "np.concatenate": (lambda a: np.concatenate([a, a]), "numpy.concatenate"),
    "pd.DataFrame": (pd.DataFrame, "call into 'pandas'"),
    "pd.concat": (lambda a: pd.concat([a, a]), "call into 'pandas'"),
    "frame operator": (lambda a: pd.DataFrame({"x": [1]}) + a, "call into 'pandas'"),
    "frame column": (lambda a: pd.DataFrame({"x": [1]})[a], "call into 'pandas'"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_everything_else_is_the_one_error(fault, name):
    """Each refused operation names itself, the task, the file and line, and what to write instead."""
    operate, words = OPERATIONS[name]

    def body():
        a = one()
        return operate(a)

    message = fault(body)
    assert words in message
    assert "one" in message
    assert f"{HERE}:" in message


def test_the_error_names_the_line_of_the_operation(fault):
    """The error says where the task was called and where its result was misused."""

    def body():
        a = one()
        return a + 1

    first = body.__code__.co_firstlineno
    message = fault(body)
    assert f"'one' (called at {HERE}:{first + 1})" in message
    assert f"At {HERE}:{first + 2}, " in message


@pytest.mark.parametrize(
    "call",
    [
        json.dumps,
        lambda a: json.dumps({"x": [a]}),
        lambda a: "".join([a]),
        Decimal,
        Fraction,
        memoryview,
        lambda a: re.match("x", a),
        lambda a: "abc".startswith(a),
    ],
)
def test_a_type_error_that_asks_no_hook_gets_a_note(traced, call):
    """C code that asks no hook raises its own TypeError; a note says what a Placeholder is, and where."""

    def body():
        a = one()
        return call(a)

    with pytest.raises(TypeError) as caught:
        traced(body)
    assert "Do this inside a task" in caught.value.__notes__[0]
    assert HERE in caught.value.__notes__[0]


def test_pickling_says_what_to_do_instead(fault):
    """A placeholder inside an object that is pickled names the task."""
    message = fault(lambda: pickle.dumps(one()))
    assert "holds the result of 'one'" in message
    assert "argument of its own" in message


def test_comparisons_are_conditions(traced):
    """Each comparison and & | ~ become a part of the branch's condition."""

    def body():
        a, b = one(), one()
        with when(((a > 1) & (b["k"] <= a)) | ~(a == "x") | b):
            one()

    node = traced(body).region.nodes[2]
    assert node.condition == Logic(
        "or",
        (
            Logic(
                "or",
                (
                    Logic("and", (Compare("gt", Ref(0), Literal(1)), Compare("le", Ref(1, (("item", "k"),)), Ref(0)))),
                    Logic("not", (Compare("eq", Ref(0), Literal("x")),)),
                ),
            ),
            Truth(Ref(1)),
        ),
    )


def test_a_condition_has_no_truth_yet(fault):
    """`if score > 0.9` says to write `with when`."""

    def body():
        if one() > 0.9:
            one()

    message = fault(body)
    assert "The truth of the condition (one > 0.9)" in message
    assert f"{HERE}:{body.__code__.co_firstlineno + 1}" in message
    assert "with when(condition):" in message


def test_unused_conditions_are_named_all_at_once(fault):
    """Every comparison that nothing uses is named with its line."""

    def body():
        a = one()
        a > 1  # noqa: B015
        a == 2  # noqa: B015

    message = fault(body)
    first = body.__code__.co_firstlineno
    assert f"(one > 1) of {HERE}:{first + 2} is never used" in message
    assert f"(one == 2) of {HERE}:{first + 3} is never used" in message


def test_a_condition_is_no_value(fault):
    """A condition can neither be given to a task, inside a list or not, nor returned."""
    for body in (lambda: one(one() > 1), lambda: one([{"k": one() > 1}]), lambda: one() > 1, lambda: one(x=one() > 1)):
        message = fault(body)
        assert "the condition (one > 1)" in message
        assert "write a task that compares" in message


def kept_from(traced):
    kept = []

    def train():
        kept.append(one())

    traced(train)
    return kept[0]


@pytest.mark.parametrize(
    "use",
    [
        lambda a: a + 1,
        lambda a: a.x,
        lambda a: a["k"],
        lambda a: a > 1,
        lambda a: one(a),
        lambda a: one.after(a),
        len,
        list,
        bool,
    ],
)
def test_use_after_the_trace_says_so(traced, use):
    """A placeholder that outlived its trace names the pipeline that it came from."""
    old = kept_from(traced)
    assert isinstance(old, Placeholder)
    with pytest.raises(DefinitionError, match="The trace of pipeline 'train' has ended"):
        traced(lambda: use(old))


def test_use_in_another_trace_says_so(define, traced):
    """A placeholder of the pipeline around cannot be used in a trace of its own."""

    def outer():
        a = one()
        trace(define(lambda: one(a), name="inner"))

    with pytest.raises(
        DefinitionError, match=r"pipeline 'inner' uses the result of 'one' .* belongs to the trace of pipeline 'outer'"
    ):
        traced(outer)


def test_a_trace_inside_a_body_leaves_it_alone(define, traced):
    """Tracing another pipeline in a body records nothing in this one, even if that one fails."""

    def outer():
        trace(define(lambda: one(1), name="inner"))
        with pytest.raises(ZeroDivisionError):
            trace(define(lambda: 1 / 0, name="broken"))
        return one(2)

    assert [node.name for node in traced(outer).walk()] == ["one"]


def test_a_plain_call_with_a_placeholder_is_refused(traced):
    """A placeholder that reaches a task outside of every trace is found there."""
    with pytest.raises(DefinitionError, match=r"A plain call of one\(\)"):
        one(kept_from(traced))


def test_captured_placeholders_are_found_at_the_first_call(fault):
    """A closure, a default and a partial that hold a placeholder name the variable and say to pass it."""

    def closure():
        a = one()

        @task
        def f():
            return a

        f()

    def nested():
        a = one()

        def helper():
            return [a]

        task(lambda: helper())()

    def late():
        @task
        def f():
            return a

        f()
        a = one()

    def default():
        a = one()

        @task
        def f(a=a):
            return a

        f()

    for body in (closure, nested, late, default):
        message = fault(body)
        assert "'a', which holds the result of 'one'" in message
        assert "as an argument" in message
        assert HERE in message


captured = None


@task
def reads_global():
    return captured


def test_a_placeholder_in_a_global_is_found(fault):
    """A task that reads a global which holds a placeholder names it."""

    def body():
        global captured
        captured = one()
        reads_global()

    try:
        assert "uses the global 'captured', which holds the result of 'one'" in fault(body)
    finally:
        globals()["captured"] = None


def test_first_of_needs_results_of_calls(fault):
    """first_of() of a constant, or of nothing, says what it takes."""
    assert "given 3, which is there in any case" in fault(lambda: first_of(3))
    assert "needs at least one value" in fault(lambda: first_of())

"""``.map()``: what is mapped, what is whole, and what the graph holds."""

# ruff: noqa: PLW0108 (bodies are lambdas, and unpack as users do)

from __future__ import annotations

import numpy as np
import pytest

from pyflow.errors import DefinitionError
from pyflow.graph import Build, Input, Literal, MapInput, MapNode, Ref
from pyflow.tracing import call_inline, each, map_inline, task, trace, trace_template, when

HERE = __file__


@task
def fit(lr, df=None):
    return lr, df


@task
def many(n) -> tuple[int, int]: ...


def test_a_map_outside_a_pipeline_is_a_list_of_plain_calls():
    """`.map` runs plainly where nothing is traced."""
    assert fit.map([1, 2], df=each(["a", "b"])) == [(1, "a"), (2, "b")]
    assert fit.map(range(2), df=[5]) == [(0, [5]), (1, [5])]


def test_positional_arguments_are_mapped_and_keywords_whole(traced):
    """The body of the map is one call; mapped values and results come in as inputs, constants stay in it."""

    def body():
        df = many(1)
        return fit.map([0.1, 0.2], df=df), fit.map(lr=each(df), df="x")

    graph = traced(body)
    first, second = graph.region.nodes[1:]
    assert isinstance(first, MapNode)
    assert first.inputs == (MapInput(Literal([0.1, 0.2]), True), MapInput(Ref(0), False))
    assert first.body.inputs == ("lr", "df")
    assert first.body.nodes[0].args == (Input(0),)
    assert first.body.nodes[0].kwargs == (("df", Input(1)),)
    assert first.body.output == Ref(first.body.nodes[0].id)
    assert second.inputs == (MapInput(Ref(0), True),)
    assert second.body.nodes[0].kwargs == (("lr", Input(0)), ("df", Literal("x")))
    assert (first.name, first.body.nodes[0].name) == ("fit", "fit")
    assert (second.name, second.body.nodes[0].name) == ("fit-2", "fit-2")


@pytest.mark.parametrize(
    ("values", "listed"),
    [
        ([], []),
        (range(3), [0, 1, 2]),
        ((i for i in "ab"), ["a", "b"]),
        ({"k": 1}, ["k"]),
        (np.arange(2), [0, 1]),
        ({1}, [1]),
    ],
)
def test_any_iterable_is_mapped(traced, values, listed):
    """Lists, ranges, generators, dicts, arrays and sets known now become a list; an empty one is legal."""
    assert traced(lambda: fit.map(values)).region.nodes[0].inputs[0].value == Literal(listed)


def test_a_known_list_with_results_in_it(traced):
    """A list that holds a result is built at run time."""
    node = traced(lambda: fit.map([1, fit(2)])).region.nodes[1]
    assert node.inputs[0].value == Build("list", (Literal(1), Ref(0)))


def test_mapping_a_text_warns(traced):
    """A text is mapped character by character, as `map` would, with a warning that says how to mean one item."""
    with pytest.warns(
        UserWarning, match=r"fit\.map\(\) at .* character by character. For one item write \['ab'\]"
    ) as caught:
        node = traced(lambda: fit.map("ab")).region.nodes[0]
    assert caught[0].filename == HERE
    assert node.inputs[0].value == Literal(["a", "b"])


def test_unequal_lengths_are_named(fault):
    """The error names both parameters and both lengths, also of maps and of known outputs."""
    for body, lengths in (
        (lambda: fit.map([1], [2, 3]), "'lr' has 1, 'df' has 2"),
        (lambda: fit.map(fit.map([1, 2, 3]), df=each([1])), "'lr' has 3, 'df' has 1"),
        (lambda: fit.map(many(1), [1]), "'lr' has 2, 'df' has 1"),
    ):
        message = fault(body)
        assert lengths in message
        assert f"fit.map() at {HERE}" in message


def test_a_map_needs_something_to_go_through(fault):
    """Nothing mapped, or a number, says what is mapped and what is whole."""
    assert "has nothing to go through" in fault(lambda: fit.map(lr=[1]))
    assert "cannot go through 'lr': 'int' object is not iterable" in fault(lambda: fit.map(3))


def test_wrong_arguments_of_a_map_fail_as_a_plain_call_would(traced):
    """A map is checked as the calls it stands for, and leaves nothing behind."""

    def body():
        with pytest.raises(TypeError, match="unexpected keyword argument 'dff'"):
            fit.map([1], dff=2)
        return fit(1)

    assert [node.name for node in traced(body).walk()] == ["fit"]


def test_the_result_of_a_map_has_parts(traced):
    """A map of known length unpacks; `[i]` gives an item; items are used by the next map one by one."""

    def body():
        a, b = fit.map([1, 2])
        first = fit.map(range(3))[0]
        return a, b, first, fit.map(fit.map(many(1)))

    assert [item.path for item in traced(body).region.output.items] == [
        (("item", 0),),
        (("item", 1),),
        (("item", 0),),
        (),
    ]


def test_a_batch_is_for_maps_only(traced, fault):
    """`batch` reaches the map's node; with_options(batch=) on a plain call is refused."""
    assert traced(lambda: fit.with_options(batch=50).map(range(100))).region.nodes[0].batch == 50
    assert "without .map()" in fault(lambda: fit.with_options(batch=50)(1))


def test_each_is_for_maps_only(fault):
    """each() in a plain call says where it belongs."""
    assert "each() marks an argument of .map()" in fault(lambda: fit(lr=each([1])))
    with pytest.raises(DefinitionError, match=r"only means something in \.map"):
        fit(each([1]))


def test_a_pipeline_is_mapped_as_a_whole(define, traced):
    """The body of a mapped pipeline is traced once; its nodes see the map's inputs, named below the map."""

    def per_scene(scene, table, k=2, *, tag="t"):
        a = fit(scene, table)
        return {"fit": fit(a, df=[k, tag])}

    scenes = define(per_scene)
    graph = traced(lambda: map_inline(scenes, (["x", "y"],), {"table": many(1)}))
    node = graph.region.nodes[1]
    assert node.name == "per_scene"
    assert [inner.name for inner in node.body.nodes] == ["per_scene/fit", "per_scene/fit-2"]
    assert node.inputs == (MapInput(Literal(["x", "y"]), True), MapInput(Ref(0), False))
    assert node.body.nodes[0].args == (Input(0), Input(1))
    assert node.body.nodes[1].kwargs == (("df", Literal([2, "t"])),)
    assert node.body.output == Build("dict", (Ref(node.body.nodes[1].id),), ("fit",))


def test_pipelines_map_inside_mapped_pipelines(define, traced):
    """Maps nest, and the inner map goes through an input of the outer body."""
    inner = define(lambda x, y: fit(x, y), name="inner")
    outer = define(lambda xs, ys: map_inline(inner, (xs,), {"y": ys}), name="outer")
    node = traced(lambda: map_inline(outer, ([[1], [2]],), {"ys": [3, many(1)]})).region.nodes[1]
    deep = node.body.nodes[0]
    assert deep.name == "outer/inner"
    assert deep.inputs == (MapInput(Input(0), True), MapInput(Input(1), False))
    assert deep.body.nodes[0].args == (Input(0), Build("list", (Literal(3), Input(1))))


def test_the_body_of_a_map_sees_its_arguments_only(define, fault):
    """A result from around a mapped body must come in as an argument; one from inside must be returned."""
    leaked = []

    def around():
        a = fit(1)
        map_inline(define(lambda x: fit(x, a), name="inner"), ([1],), {})

    def inside():
        def inner(x):
            leaked.append(x)

        map_inline(define(inner), ([1],), {})
        fit(leaked[0])

    assert "pass the value as a keyword argument, .map(items, name=value)" in fault(around)
    assert "is used outside of the map that it belongs to" in fault(inside)


def test_a_called_pipeline_is_inlined(define, traced):
    """A pipeline called in another one records its calls there, below its name and a number."""

    def clean(x):
        with when(fit(x)):
            fit.map([1])
        return fit(x)

    inner = define(clean)
    graph = traced(lambda: [call_inline(inner, (1,), {}), call_inline(inner, (), {"x": 2})])
    assert [node.name for node in graph.walk()] == [
        "clean/fit", "clean/when", "clean/fit-2", "clean/fit-2", "clean/fit-3",
        "clean-2/fit", "clean-2/when", "clean-2/fit-2", "clean-2/fit-2", "clean-2/fit-3",
    ]  # fmt: skip


def test_a_called_pipeline_checks_its_arguments(define, traced):
    """Wrong arguments of a called or mapped pipeline are a TypeError, too."""
    inner = define(lambda x: fit(x), name="inner")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        traced(lambda: call_inline(inner, (), {}))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        traced(lambda: map_inline(define(lambda x, y: fit(x), name="inner"), (), {"y": each([1])}))


def test_the_exit_handler_of_a_called_pipeline_warns(define, traced):
    """Only the outermost pipeline's exit handler runs, and the inner one says so."""
    inner = define(lambda: fit(1), name="inner", on_exit=fit)
    with pytest.warns(UserWarning, match="its exit handler 'fit' will not run"):
        traced(lambda: call_inline(inner, (), {}))


def test_parameters_given_later_are_inputs(define):
    """A template has its parameters as inputs; a body that needs a value says that there is none."""
    graph = trace_template(define(lambda path, *, lrs=(1, 2): fit.map(lr=each(lrs), df=path), name="train"))
    assert graph.region.inputs == ("path", "lrs")
    assert graph.region.nodes[0].inputs == (MapInput(Input(1), True), MapInput(Input(0), False))
    assert [(p.name, p.is_required, p.default) for p in graph.parameters] == [
        ("path", True, None),
        ("lrs", False, (1, 2)),
    ]
    with pytest.raises(DefinitionError, match=r"the parameter 'n' .* this trace has no values for the parameters"):
        trace_template(define(lambda n: [fit(i) for i in range(n)], name="train"))
    with pytest.raises(DefinitionError, match=r"takes \*paths"):
        trace_template(define(lambda *paths: fit(1), name="train"))


def test_on_exit_is_a_call_of_its_own(define):
    """The exit handler gets the outcome as its input, with the pipeline's defaults."""

    @task(retries=1)
    def notify(outcome): ...

    graph = trace(
        define(lambda: fit(1), on_exit=notify, defaults={"cpus": 2}, parallelism=4, fail_fast=False, name="train")
    )
    assert graph.on_exit is not None
    assert (graph.on_exit.id, graph.on_exit.name, graph.on_exit.args) == (1, "notify", (Input(0),))
    assert (graph.on_exit.options.retries, graph.on_exit.options.cpus) == (1, 2)
    assert (graph.parallelism, graph.fail_fast) == (4, False)


def test_a_definition_names_all_its_faults(define):
    """Every wrong field of a pipeline is named at once."""

    async def train(): ...

    with pytest.raises(DefinitionError) as caught:
        define(train, name="a b", defaults={"cpu": 1}, parallelism=0, order="time", on_exit=3, fail_fast=None)
    message = str(caught.value)
    for words in (
        "cannot be called 'a b'",
        "Did you mean 'cpus'?",
        "parallelism",
        "'data' or 'calls'",
        "must be a task, got 3",
        "not an async one",
        "fail_fast",
    ):
        assert words in message
    with pytest.raises(DefinitionError, match="which is about one task"):
        define(lambda: 1, defaults={"name": "x"})
    with pytest.raises(DefinitionError, match="gets the run's outcome as its one argument"):
        define(lambda: 1, on_exit=task(lambda a, b: 1))

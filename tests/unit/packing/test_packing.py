"""Graph → packed graph: functions and constants become addresses, facts and helpers are asked for, the rest is JSON."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

import pytest

from pyflow import each, first_of, pipeline, task, when
from pyflow.artifacts import load
from pyflow.errors import NotSerializableError
from pyflow.packed import PackedBranch, PackedCall, PackedGraph, PackedMap
from pyflow.packing import pack
from pyflow.store import ContentStore, Keys, open_blobs


@dataclass
class Box:
    inside: object


@task
def give(*args, **kwargs): ...


@task
def other(*args, **kwargs): ...


@pytest.fixture
def content(tmp_path):
    return ContentStore(open_blobs(tmp_path / "store"), Keys("p", "o"))


def packed(body, content, *args):
    graph = pack(pipeline(body).trace(*args), content).graph
    assert PackedGraph.from_bytes(graph.to_bytes()) == graph
    return graph


def by_name(graph):
    return {node.name: node for node in graph.walk()}


def test_small_values_stay_and_others_get_an_address(content):
    """Plain JSON stays what it is; the rest is an artifact that loads to an equal value."""

    def body():
        return give(5, "text", None, [1, {"a": 2.5}], large="x" * 20_000, tagged={1, 2}, key={1: 2})

    node = by_name(packed(body, content))["give"]
    assert node.args[:3] == [5, "text", None]
    assert {name: load(value["artifact"], content) for name, value in node.kwargs.items() if "artifact" in value} == {
        "large": "x" * 20_000, "tagged": {1, 2}, **({"key": {1: 2}} if "artifact" in node.kwargs["key"] else {}),
    }  # fmt: skip


def test_a_shared_constant_is_kept_once(content):
    """However many calls use it, and the same function is one entry."""
    table = list(range(50_000))

    def body():
        return [give(table), give(table), other(table)]

    graph = packed(body, content)
    artifacts = [node.args[0]["artifact"] for node in graph.walk()]
    assert artifacts[0] == artifacts[1] == artifacts[2]
    assert [function.name for function in graph.functions] == ["give", "other"]
    assert len(graph.options) == 1


def test_equal_pipelines_have_equal_digests(content):
    """The digest names all that will run; another argument, another digest."""

    def body(x):
        return give(other(x))

    digests = [pack(pipeline(body).trace(x), content).digest for x in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_who_decides_is_asked_for_a_fact(content):
    """The length of a mapped result, and whether a condition over one result holds; each asked once."""

    def body():
        x = give()
        with when(x["score"] > 0.5):
            yes = other()
        with when(x["score"] > 0.5):
            also = other()
        return other.map(x["items"]), other.map(x["items"]), first_of(yes, also)

    graph = packed(body, content)
    facts = by_name(graph)["give"].facts
    assert [fact[:2] for fact in facts] == [
        ["test", ["gt", {"ref": 0, "path": [["item", "score"]]}, 0.5]], ["items", [["item", "items"]]],
    ]  # fmt: skip
    assert all(at.startswith(f"{__file__}:") for *_, at in facts)
    assert [node.fact for node in graph.walk() if isinstance(node, PackedBranch)] == [[0, 0], [0, 0]]
    assert {json.dumps(n.inputs[0]["value"]) for n in graph.walk() if isinstance(n, PackedMap)} == {'{"items": [0, 1]}'}


def test_facts_about_several_results_need_a_helper(content):
    """A condition over two results, and a map over what was chosen, get a node that pyflow adds, with a number of its own."""

    @task
    def handler(outcome): ...

    @pipeline(on_exit=handler)
    def body():
        a, b = give(), other()
        with when(a > b):
            made = give()
        return other.map(first_of(made, b))

    graph = pack(body.trace(), content).graph
    helpers = [n for n in graph.walk() if isinstance(n, PackedCall) and graph.functions[n.function].builtin]
    assert sorted(graph.functions[n.function].builtin for n in helpers) == ["identity", "nothing"]
    assert {frozenset(n.needs) for n in helpers} >= {frozenset({0, 1})}
    numbers = [n.id for n in graph.walk()] + [graph.on_exit.id]
    assert len(set(numbers)) == len(numbers)


def test_items_that_are_known_are_kept_one_by_one(content):
    """A worker reads the item that it needs, and not the list."""

    def body():
        return give.map(["a", {1, 2}, "x" * 20_000], y=each([1, 2, 3]), z=[0])

    node = by_name(packed(body, content))["give"]
    maps = [n for n in packed(body, content).walk() if isinstance(n, PackedMap)]
    assert [i["each"] for i in maps[0].inputs] == [True, True]
    assert maps[0].inputs[0]["value"]["sequence"]["length"] == 3
    assert node is not None


def test_structures_keep_their_shape(content):
    """Lists, tuples, dicts and dataclasses around results are built again where the value is used."""

    def body():
        x = give()
        return other([x, (x, 1)], {"a": x}, Box(x))

    node = by_name(packed(body, content))["other"]
    assert node.args[0] == {"list": [{"ref": 0}, {"tuple": [{"ref": 0}, 1]}]}
    assert node.args[1] == {"dict": [["a", {"ref": 0}]]}
    assert load(node.args[2]["object"], content) is Box
    assert node.needs == [0]


def test_a_constant_that_cannot_be_pickled_is_named(content):
    """Task, argument and the path inside of it."""

    def body():
        return give({"deep": [threading.Lock()]})

    with pytest.raises(NotSerializableError, match=r"give.*\['deep'\]\[0\]"):
        packed(body, content)


@pytest.mark.parametrize(
    ("build", "whose", "part"),
    [
        (lambda made, lock: {"a": made, "l": lock}, "result of pipeline 'body' (defined at", "value['l'] is a '_thread.lock'"),
        (lambda made, lock: [made, Box((made, {"x": lock}))], "defined at", "value[1].inside[1]['x'] is a"),
        (lambda made, lock: lock, "defined at", "value is a '_thread.lock'"),
        (lambda made, lock: other(value={"a": made, 1: [lock]}), "other(), called at", "value[1][0] is a '_thread.lock'"),
        (lambda made, lock: other.map([made, [lock]]), "Item 1 of mapped argument 1 of other(), called at", "value[0] is a"),
        (lambda made, lock: other.map([1, [lock]]), "Item 1 of mapped argument 1 of other(), called at", "value[0] is a"),
    ],
)  # fmt: skip
def test_beside_results_it_is_named_as_well(content, build, whose, part):
    """In a container that also holds results, in what the pipeline gives and among items: whose it is, where, and the path."""

    def body():
        return build(give(1), threading.Lock())

    with pytest.raises(NotSerializableError) as caught:
        packed(body, content)
    assert whose in str(caught.value)
    assert f"{__file__}:" in str(caught.value)
    assert f" cannot be serialized: {part}" in str(caught.value)

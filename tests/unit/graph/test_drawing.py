"""Graphs as text, Mermaid and pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from pyflow.graph import (
    BranchNode,
    CallNode,
    Compare,
    ContainerNode,
    Expr,
    Function,
    Graph,
    Input,
    Literal,
    Location,
    MapInput,
    MapNode,
    Options,
    Ref,
    Region,
    SelectNode,
)
from pyflow.graph.drawing import to_text

AT = Location("flow.py", 3)


def call(id: int, name: str, *args: Expr, after: tuple[int, ...] = ()) -> CallNode:
    return CallNode(
        id=id, name=name, after=after, at=AT, function=Function(len, name, AT), args=args, kwargs=(), options=Options()
    )


def graph(*nodes, output: Expr = Literal(None), inputs: tuple[str, ...] = (), on_exit: CallNode | None = None) -> Graph:  # noqa: B008
    return Graph(name="train", region=Region(nodes, inputs, output), at=AT, on_exit=on_exit)


@pytest.fixture
def whole() -> Graph:
    """A graph with one node of every kind."""
    nothing = Literal(None)
    mapped = MapNode(
        id=1, name="fit", at=AT, inputs=(MapInput(Literal([1, 2]), True), MapInput(Ref(0), False)),
        body=Region((call(2, "fit", Input(0)),), ("lr",), Ref(2)),
    )  # fmt: skip
    scenes = MapNode(
        id=3, name="scene", at=AT, inputs=(MapInput(Ref(1), True),),
        body=Region((call(4, "scene/load", Input(0)), call(5, "scene/cut", Ref(4))), ("x",), Ref(5)),
    )  # fmt: skip
    branch = BranchNode(
        id=6, name="when", at=AT, condition=Compare("gt", Ref(0, (("item", 'a"<'),)), Literal(0.9)),
        then=Region((call(7, "report", Ref(0)),), (), nothing), otherwise=Region((call(8, "retry"),), (), nothing),
    )  # fmt: skip
    select = SelectNode(id=9, name="first_of", at=AT, candidates=(Ref(7), Ref(8)))
    box = ContainerNode(
        id=10, name="cowsay", at=AT, after=(0,), image="docker/whalesay", command=(("cowsay",), (Ref(9),)), inputs=(), outputs=(),
        stdout=True, options=Options(),
    )  # fmt: skip
    return graph(
        call(0, "load", Input(0)),
        mapped,
        scenes,
        branch,
        select,
        box,
        output=Ref(10),
        inputs=("path",),
        on_exit=call(11, "bye"),
    )


def test_the_text_is_a_tree(whole):
    """Every node has a line, with what it uses; regions are branches of the tree."""
    assert to_text(whole.name, whole.region) == str(whole)
    assert (
        str(whole)
        == """\
train
├─ load
├─ fit × 2  ← load
├─ scene × 2  ← fit
│  ├─ scene/load
│  ├─ scene/cut  ← scene/load
│  └─ returns scene/cut
├─ when load['a"<'] > 0.9
│  ├─ then
│  │  └─ report  ← load
│  └─ otherwise
│     └─ retry
├─ first_of  ← report, retry
├─ cowsay [docker/whalesay]  ← first_of  after load
└─ returns cowsay"""
    )


def test_mermaid_has_every_kind(whole):
    """Maps and branches are subgraphs, order is dotted, labels are escaped, containers have a shape of their own."""
    lines = [line.strip() for line in whole.to_mermaid().splitlines()]
    assert lines[3] == "flowchart TD"
    for line in (
        'n0["load"]',
        'n1[["fit × 2"]]',
        'subgraph n3["scene × 2"]',
        'n4["scene/load"]',
        "n6{\"when load['a#34;#60;'] #62; 0.9\"}",
        'subgraph n6then["then"]',
        'n9(["first_of"])',
        'n10{{"cowsay<br/>docker/whalesay"}}',
        "in0 --> n0",
        "n0 --> n1",
        "n6 -->|yes| n6then",
        "n6 -->|no| n6otherwise",
        "n0 -.-> n10",
        'n11(["bye (on exit)"])',
    ):
        assert line in lines
    assert sum(line.startswith("subgraph") for line in lines) == sum(line == "end" for line in lines)


def test_mermaid_shows_the_store_when_asked(whole):
    """What somebody uses lies between the one who made it and those who use it; order stays between the two."""
    lines = [line.strip() for line in whole.to_mermaid(has_store=True).splitlines()]
    for line in ('s0[("load, in the store")]', "n0 --> s0", "s0 --> n1", "n0 -.-> n10", "in0 --> n0"):
        assert line in lines
    assert "n0 --> n1" not in lines
    assert not any(line.startswith("s10") for line in lines), "nobody uses it"


def test_the_picture_is_whole_in_itself(whole):
    """The picture is well-formed, shows every name, and neither fetches nor runs anything."""
    html = whole._repr_html_()
    root = ET.fromstring(html)
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for text in (
        "train",
        "load",
        "fit × 2",
        "scene × 2",
        "scene/cut",
        "when load['a\"<'] > 0.9",
        "then",
        "otherwise",
        "first_of",
        "cowsay",
    ):
        assert text in texts
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in html
    assert whole._repr_mimebundle_() == {"text/html": html, "text/plain": str(whole)}


def test_boxes_do_not_overlap():
    """In a layer boxes stand apart, and what is needed stands above."""
    nodes = [call(i, f"task_{i}", *[Ref(j) for j in range(max(0, i - 7), i - 3)]) for i in range(40)]
    root = ET.fromstring(graph(*nodes)._repr_html_())
    boxes = {}
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        rect = group.find("{http://www.w3.org/2000/svg}rect")
        title = group.find("{http://www.w3.org/2000/svg}title")
        name = title.text.split()[0]
        boxes[name] = tuple(float(rect.get(key)) for key in ("x", "y", "width", "height"))
    assert len(boxes) == 40
    for a, (x, y, width, height) in boxes.items():
        for b, (u, v, *_) in boxes.items():
            if a < b:
                assert not (abs(y - v) < height and u < x + width and x < u + boxes[b][2]), (a, b)
    for i in range(40):
        for j in range(max(0, i - 7), i - 3):
            assert boxes[f"task_{j}"][1] < boxes[f"task_{i}"][1]


def test_a_large_graph_is_a_table():
    """Above sixty nodes a table says how often each task is called."""
    html = graph(*[call(i, "load" if i == 0 else f"load-{i + 1}") for i in range(100)])._repr_html_()
    assert "100 nodes" in html
    assert "<td style='text-align:left'>load</td><td>100</td>" in html


def test_an_empty_graph_draws():
    """A pipeline without calls has a picture, too."""
    empty = graph()
    assert str(empty) == "train"
    assert repr(empty) == "<Graph 'train' of 0 nodes>"
    ET.fromstring(empty._repr_html_())
    assert empty.to_mermaid()


def test_names_are_escaped():
    """What a user wrote cannot end a label or begin a tag."""
    node = ContainerNode(
        id=0, name="x", at=Location("<b>.py", 1), image='<script>"]', command=(("x",),), inputs=(), outputs=(), stdout=False, options=Options()
    )  # fmt: skip
    drawn = graph(node)
    assert "<script" not in drawn._repr_html_()
    assert 'n0{{"x<br/>#60;script#62;#34;]"}}' in drawn.to_mermaid()

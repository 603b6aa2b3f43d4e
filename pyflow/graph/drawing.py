"""Graphs for people to read: a tree of text for terminals, and Mermaid for Markdown pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from pyflow.graph.expr import Build, Compare, Condition, Expr, Input, Literal, Path, Ref, Truth, leaves
from pyflow.graph.nodes import (
    BranchNode,
    CallNode,
    ContainerNode,
    MapNode,
    Node,
    Region,
    SelectNode,
    refs_of,
    values_of,
)

_SIGNS: Final = {"lt": "<", "le": "<=", "eq": "==", "ne": "!=", "gt": ">", "ge": ">="}
MAX_LABEL: Final = 60


class Labels:
    """What the nodes, values and conditions of one graph are called."""

    def __init__(self, region: Region) -> None:
        self.node_by_id: dict[int, Node] = {node.id: node for node in region.walk()}
        self._inputs: dict[int, tuple[str, ...]] = {}
        self._note_inputs(region, region.inputs)

    def _note_inputs(self, region: Region, inputs: tuple[str, ...]) -> None:
        for node in region.nodes:
            self._inputs[node.id] = inputs
            if isinstance(node, MapNode):
                self._note_inputs(node.body, node.body.inputs)
            elif isinstance(node, BranchNode):  # its sides see the inputs around it
                self._note_inputs(node.then, inputs)
                self._note_inputs(node.otherwise, inputs)

    def node(self, node: Node) -> str:
        """A node in few words: ``fit × 12``, ``when score > 0.9``."""
        if isinstance(node, MapNode):
            return f"{node.name} × {'n' if (count := self.count(node)) is None else count}"
        if isinstance(node, BranchNode):
            return shortened(f"when {self.condition(node.condition, node)}")
        return node.name

    def count(self, node: MapNode) -> int | None:
        """How many items a map has, where that does not only show at run time."""
        for value in (i.value for i in node.inputs if i.is_each):
            if isinstance(value, Literal) and isinstance(value.value, (list, tuple)):
                return len(value.value)
            if isinstance(value, Build) and value.kind in ("list", "tuple"):
                return len(value.items)
            above = self.node_by_id.get(value.node) if isinstance(value, Ref) and not value.path else None
            count = self.count(above) if isinstance(above, MapNode) else None
            if count is not None:
                return count
        return None

    def condition(self, condition: Condition, node: Node) -> str:
        """A condition as its author wrote it."""
        if isinstance(condition, Compare):
            return f"{self.expr(condition.left, node)} {_SIGNS[condition.op]} {self.expr(condition.right, node)}"
        if isinstance(condition, Truth):
            return self.expr(condition.value, node)
        words = [self.condition(operand, node) for operand in condition.operands]
        if condition.op == "not":
            return f"not ({words[0]})"
        return f" {condition.op} ".join(
            f"({word})" if f" {condition.op} " in word or " or " in word else word for word in words
        )

    def expr(self, expr: Expr, node: Node) -> str:
        """A value by the names of what makes it."""
        if isinstance(expr, Ref):
            return self.node_by_id[expr.node].name + path_text(expr.path)
        if isinstance(expr, Input):
            inputs = self._inputs.get(node.id, ())
            return (inputs[expr.index] if expr.index < len(inputs) else f"input {expr.index}") + path_text(expr.path)
        if isinstance(expr, Literal):
            return _value_text(expr.value)
        return f"{expr.kind} of {', '.join(dict.fromkeys(self.expr(leaf, node) for leaf in leaves(expr)))}"

    def output(self, region: Region) -> str:
        """What a region gives, by the names of the nodes that make it; empty when it gives nothing of theirs."""
        made = [leaf for leaf in leaves(region.output) if isinstance(leaf, Ref)]
        return ", ".join(dict.fromkeys(self.node_by_id[ref.node].name + path_text(ref.path) for ref in made))


def path_text(path: Path) -> str:
    """A path as it is written behind a name: ``['key'].attribute``."""
    return "".join(f".{key}" if kind == "attr" else f"[{key!r}]" for kind, key in path)


def _value_text(value: object) -> str:
    # Only what is short by nature: the repr of a data frame or a model may be long, slow or wrong.
    if isinstance(value, (str, bytes, int, float, complex, bool, type(None))):
        return shortened(repr(value), 30)
    return f"<{type(value).__name__}>"


def shortened(text: str, length: int = MAX_LABEL) -> str:
    """The text on one line, its end left out when it is long."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def is_simple(node: MapNode) -> bool:
    """Whether the map is of one task, and so is drawn as one box."""
    return len(node.body.nodes) == 1 and node.body.nodes[0].name == node.name


def needed_by(node: Node) -> list[int]:
    """The nodes whose results a node uses, each once."""
    return list(dict.fromkeys(ref.node for ref in refs_of(node)))


# Text


def to_text(name: str, region: Region) -> str:
    """The graph as a tree: a line for each node, with what it uses and what it waits for."""
    labels = Labels(region)
    return "\n".join([name, *_tree(region.nodes, labels, _returns(region, labels))])


def _returns(region: Region, labels: Labels) -> list[str]:
    output = labels.output(region)
    return [f"returns {output}"] if output else []


def _tree(nodes: Iterable[Node], labels: Labels, last: list[str]) -> Iterator[str]:
    entries: list[tuple[str, list[str]]] = [(_line(node, labels), list(_inside(node, labels))) for node in nodes]
    entries += [(line, []) for line in last]
    for i, (line, below) in enumerate(entries):
        is_last = i == len(entries) - 1
        yield ("└─ " if is_last else "├─ ") + line
        yield from (("   " if is_last else "│  ") + deeper for deeper in below)


def _line(node: Node, labels: Labels) -> str:
    line = labels.node(node)
    if isinstance(node, ContainerNode):
        line += f" [{shortened(node.image)}]"
    used = (
        []
        if isinstance(node, BranchNode)
        else [labels.node_by_id[n].name for n in needed_by(node) if n in labels.node_by_id]
    )
    after = [labels.node_by_id[n].name for n in node.after]
    return line + (f"  ← {', '.join(used)}" if used else "") + (f"  after {', '.join(after)}" if after else "")


def _inside(node: Node, labels: Labels) -> Iterator[str]:
    if isinstance(node, MapNode) and not is_simple(node):
        yield from _tree(node.body.nodes, labels, _returns(node.body, labels))
    elif isinstance(node, BranchNode):
        sides = [("then", node.then), *([("otherwise", node.otherwise)] if node.otherwise.nodes else [])]
        for i, (word, side) in enumerate(sides):
            is_last = i == len(sides) - 1
            yield ("└─ " if is_last else "├─ ") + word
            yield from (("   " if is_last else "│  ") + line for line in _tree(side.nodes, labels, []))


# Mermaid


def to_mermaid(name: str, region: Region, on_exit: CallNode | None = None, *, has_store: bool = False) -> str:
    """The graph in the language of Mermaid: arrows are data, dotted ones order alone.

    Args:
        name: Of the pipeline.
        region: Its body.
        on_exit: Its exit handler.
        has_store: Draw what lies in the store between those who make it and those who use it.
    """
    labels = Labels(region)
    lines = ["---", f"title: {_title(name)}", "---", "flowchart TD"]
    lines += [f'    in{i}[/"{_escaped(parameter)}"/]' for i, parameter in enumerate(region.inputs)]
    lines += _boxes(region.nodes, labels, "    ")
    kept = _kept(region) if has_store else []
    lines += [f'    s{key}[("{_escaped(labels.node_by_id[key].name)}, in the store")]' for key in kept]
    lines += [f"    n{key} --> s{key}" for key in kept]
    lines += _arrows(region, labels, frozenset(kept))
    if on_exit is not None:
        lines.append(f'    n{on_exit.id}(["{_escaped(on_exit.name)} (on exit)"])')
    return "\n".join(lines) + "\n"


def _boxes(nodes: Iterable[Node], labels: Labels, indent: str) -> Iterator[str]:
    for node in nodes:
        text = _escaped(labels.node(node))
        if isinstance(node, MapNode) and not is_simple(node):
            yield from _subgraph(f"n{node.id}", text, node.body, labels, indent)
        elif isinstance(node, MapNode):
            yield f'{indent}n{node.id}[["{text}"]]'
        elif isinstance(node, BranchNode):
            yield f'{indent}n{node.id}{{"{text}"}}'
            for word, side in (("then", node.then), ("otherwise", node.otherwise)):
                if side.nodes:
                    yield from _subgraph(f"n{node.id}{word}", word, side, labels, indent)
        elif isinstance(node, ContainerNode):
            yield f'{indent}n{node.id}{{{{"{text}<br/>{_escaped(shortened(node.image))}"}}}}'
        elif isinstance(node, SelectNode):
            yield f'{indent}n{node.id}(["{text}"])'
        else:
            yield f'{indent}n{node.id}["{text}"]'


def _subgraph(key: str, title: str, region: Region, labels: Labels, indent: str) -> Iterator[str]:
    yield f'{indent}subgraph {key}["{title}"]'
    yield from _boxes(region.nodes, labels, indent + "    ")
    yield f"{indent}end"


def _kept(region: Region) -> list[int]:
    """Whose results somebody else uses, each once, in the order of the trace."""
    used = {needed for node in region.walk() for needed in needed_by(node)}
    return [node.id for node in region.walk() if node.id in used]


def _arrows(region: Region, labels: Labels, kept: frozenset[int], *, is_top: bool = True) -> Iterator[str]:
    for node in region.nodes:
        used = needed_by(node)
        yield from (f"    {'s' if needed in kept else 'n'}{needed} --> n{node.id}" for needed in used)
        if is_top:
            yield from (f"    in{index} --> n{node.id}" for index in inputs_of(node))
        yield from (f"    n{early} -.-> n{node.id}" for early in node.after if early not in used)
        if isinstance(node, MapNode) and not is_simple(node):
            yield from _arrows(node.body, labels, kept, is_top=False)
        elif isinstance(node, BranchNode):
            for word, answer, side in (("then", "yes", node.then), ("otherwise", "no", node.otherwise)):
                if side.nodes:
                    yield f"    n{node.id} -->|{answer}| n{node.id}{word}"
                    yield from _arrows(side, labels, kept, is_top=is_top)


def inputs_of(node: Node) -> list[int]:
    """The inputs of the region around that a node uses, each once."""
    used = (leaf.index for value in values_of(node) for leaf in leaves(value) if isinstance(leaf, Input))
    return list(dict.fromkeys(used))


def _title(name: str) -> str:
    return f'"{name}"'  # YAML; names have no quotes


def _escaped(text: str) -> str:
    # Mermaid reads #NN; as the character of that number, inside quotes as well.
    return re.sub(r"[^\w .,:/()\[\]×…'+*=-]", lambda match: f"#{ord(match[0])};", text)

"""The nodes of a graph, and the regions that hold them.

A region is a list of nodes with inputs and an output. The body of a pipeline is one; so are the body
of a map and the two sides of a branch. What may refer to what:

- Nodes in a branch's regions may refer to nodes around the branch, as in Python, and ``Input(i)`` there
  means the input of the map's body or pipeline around it: the sides of a branch have no inputs of their own.
- The body of a map sees its inputs only.
- Out of a branch, only a ``SelectNode`` refers to the nodes inside. ``after`` names a node of the same region
  or of one around a branch; what waits for a node inside a branch waits for the whole of it.
- In a region each node stands after everything it needs. Ids count the calls, so they ascend along a region
  unless ``a >> b`` made a call wait for a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from pyflow.graph.expr import Build, Condition, Expr, Input, Literal, Ref, leaves, operands
from pyflow.graph.location import Location
from pyflow.graph.options import Options


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function that a task runs. Two nodes share one object when they run the same task."""

    fn: Callable[..., Any]
    name: str
    """Name of the task, without prefix and number."""
    at: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class _NodeBase:
    id: int
    """Unique in the whole graph; counts the calls in the order of the trace."""
    name: str
    """Unique in the whole graph, for people: ``fit``, ``fit-2``, ``clean/fit``.

    With one exception: in the map of a single task, the node of the body is called as the map is, so that
    its items are ``fit[3]``.
    """
    after: tuple[int, ...] = ()
    """Nodes that must have ended first, though nothing of them is used."""
    at: Location
    """Where the user called it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNode(_NodeBase):
    """One call of a Python task."""

    function: Function
    args: tuple[Expr, ...]
    kwargs: tuple[tuple[str, Expr], ...]
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerNode(_NodeBase):
    """One call of a container task: any image, with a command line."""

    image: str
    command: tuple[tuple[str | Expr, ...], ...]
    """One entry per argument; its pieces are put together as text when the values are known.

    A piece that is the value of one of ``inputs`` stands for its path in the container; where that is
    given, it is written into the text already.
    """
    inputs: tuple[tuple[str, Expr, str | None], ...]
    """Parameter, value (a file or folder) and path in the container, None where pyflow may choose."""
    outputs: tuple[tuple[str, str], ...]
    """Name and path in the container of each file or folder that is kept."""
    stdout: bool
    """The text of standard output is the result."""
    options: Options


@dataclass(frozen=True, slots=True)
class MapInput:
    """One input of a map's body: each item of a value in turn, or the whole of it every time."""

    value: Expr
    is_each: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode(_NodeBase):
    """A region that runs once for each item; its result is the list of outputs, in order."""

    body: Region
    inputs: tuple[MapInput, ...]
    batch: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchNode(_NodeBase):
    """Two regions of which one runs; the nodes of the other are skipped."""

    condition: Condition
    then: Region
    otherwise: Region


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectNode(_NodeBase):
    """The first of several values that was made, for values that come out of branches."""

    candidates: tuple[Expr, ...]
    default: Expr | None = None


Node: TypeAlias = "CallNode | ContainerNode | MapNode | BranchNode | SelectNode"


@dataclass(frozen=True, slots=True)
class Region:
    """A list of nodes with inputs and an output."""

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    """Names of the inputs; ``Input(i)`` inside means the i-th."""
    output: Expr

    def walk(self) -> Iterator[Node]:
        """All nodes, those of inner regions behind the node that holds them."""
        for node in self.nodes:
            yield node
            if isinstance(node, CallNode):
                continue  # most are, and hold none
            for region in regions_of(node):
                yield from region.walk()


def regions_of(node: Node) -> tuple[Region, ...]:
    """The regions that a node holds."""
    if isinstance(node, MapNode):
        return (node.body,)
    if isinstance(node, BranchNode):
        return (node.then, node.otherwise)
    return ()


def values_of(node: Node) -> tuple[Expr, ...]:
    """The expressions that a node uses, inner regions left out."""
    if isinstance(node, CallNode):
        return (*node.args, *(value for _, value in node.kwargs))
    if isinstance(node, ContainerNode):
        pieces = [piece for argument in node.command for piece in argument if not isinstance(piece, str)]
        return (*pieces, *(value for _, value, _ in node.inputs))
    if isinstance(node, MapNode):
        return tuple(i.value for i in node.inputs)
    if isinstance(node, BranchNode):
        return tuple(operands(node.condition))
    return (*node.candidates, *(() if node.default is None else (node.default,)))


def refs_of(node: Node) -> Iterator[Ref]:
    """The results of other nodes that a node uses, inner regions left out."""
    for value in values_of(node):
        if type(value) is Literal:
            continue  # most are, and ask for nothing
        for leaf in leaves(value):
            if isinstance(leaf, Ref):
                yield leaf


__all__ = [
    "BranchNode", "Build", "CallNode", "Condition", "ContainerNode", "Expr", "Function", "Input", "Literal",
    "Location", "MapInput", "MapNode", "Node", "Options", "Ref", "Region", "SelectNode", "refs_of",
    "regions_of", "values_of",
]  # fmt: skip

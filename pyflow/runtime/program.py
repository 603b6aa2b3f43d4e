"""A packed graph as a worker reads it: which map is around a node, and which branches lead to it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from pyflow.artifacts import load, load_items, loader
from pyflow.errors import IntegrityError, NotFoundError, PyflowError
from pyflow.jsontext import Json
from pyflow.packed import (
    PackedBranch,
    PackedCall,
    PackedFunction,
    PackedGraph,
    PackedMap,
    PackedNode,
    PackedRegion,
    packed_regions_of,
)
from pyflow.payload import watch
from pyflow.runtime.builtins import BUILTINS
from pyflow.store import ContentStore

_MOST_SEQUENCES: Final = 16


class Place(NamedTuple):
    """Where a node stands in its graph."""

    node: PackedNode
    maps: tuple[int, ...]
    """The maps around it, from the outside in; an index vector has one number for each."""
    guards: tuple[tuple[PackedBranch, bool], ...]
    """The branches around it within its innermost map, from the outside in, each with its side."""


class _Kept(NamedTuple):
    """The function of a node, made once."""

    function: Callable[..., Any]
    make: Callable[[], Any]
    """Makes it again."""
    is_as_made: Callable[[], bool] | None
    """Whether no call has changed it; None where that cannot be seen."""


class Program:
    """One packed graph, with what a worker keeps of it between tasks.

    Args:
        graph: The graph.
        digest: Of the graph's bytes: what the commits of its runs are bound to.
    """

    def __init__(self, graph: PackedGraph, digest: str) -> None:
        self.graph = graph
        self.digest = digest
        self._spots: dict[int, _Spot] = dict(_spots(graph.region, (), ()))
        self._places: dict[int, Place] = {}
        self._functions: dict[int, _Kept] = {}
        self._retry_types: dict[int, tuple[type[BaseException], ...]] = {}
        self._sequences: OrderedDict[str, Any] = OrderedDict()
        if graph.on_exit is not None:
            self._places[graph.on_exit.id] = Place(graph.on_exit, (), ())

    def place(self, node: int) -> Place:
        """Where a node stands.

        Raises:
            PyflowError: The graph has no such node.
        """
        found = self._places.get(node)
        if found is None:
            if node not in self._spots:
                raise PyflowError(f"The packed graph of {self.graph.name!r} has no node {node}.")
            nodes, index, maps, guards = self._spots[node]
            found = self._places[node] = Place(nodes[index], maps, guards)
        return found

    def has(self, node: int) -> bool:
        """Whether there is such a node."""
        return node in self._spots or node in self._places

    def map_of(self, node: int) -> PackedMap:
        """A node that must be a map."""
        found = self.place(node).node
        if not isinstance(found, PackedMap):
            raise IntegrityError(f"Node {node} of {self.graph.name!r} is not a map, though items of it are asked for.")
        return found

    def function(self, node: PackedCall, content: ContentStore) -> Callable[..., Any]:
        """The function that a node calls: made anew for an attempt, unless it is seen to be as it was when it was made."""
        kept = self._functions.get(node.function)
        if kept is not None and kept.is_as_made is not None and kept.is_as_made():
            return kept.function
        try:
            make = self._maker(self.graph.functions[node.function], content) if kept is None else kept.make
            function: Callable[..., Any] = make()
        except (IntegrityError, NotFoundError) as error:
            raise IntegrityError(f"The code of task {node.name!r} cannot be used. {error}") from error
        if kept is None or kept.is_as_made is not None:  # else it cannot be seen, however often it is made
            self._functions[node.function] = _Kept(function, make, watch(function))
        return function

    def _maker(self, packed: PackedFunction, content: ContentStore) -> Callable[[], Any]:
        builtin = packed.builtin
        return loader(packed.artifact, content) if builtin is None else lambda: BUILTINS[builtin]

    def retry_types(self, node: PackedCall, content: ContentStore) -> tuple[type[BaseException], ...]:
        """The errors after which a node may be tried again."""
        packed = self.graph.options[node.options].retry_on
        if packed is None:
            return (Exception,)
        types = self._retry_types.get(node.options)
        if types is None:
            loaded: Any = load(packed, content)
            types = self._retry_types[node.options] = loaded
        return types

    def items(self, sequence: Json, content: ContentStore) -> Any:
        """The artifacts of a sequence's items, parsed once for all the items that one worker gets."""
        digest = sequence.get("digest")
        if digest is None:
            return load_items(sequence, content)
        items = self._sequences.get(digest)
        if items is None:
            items = self._sequences[digest] = load_items(sequence, content)
            if len(self._sequences) > _MOST_SEQUENCES:
                self._sequences.popitem(last=False)
        return items


_Spot: TypeAlias = "tuple[Sequence[PackedNode], int, tuple[int, ...], tuple[tuple[PackedBranch, bool], ...]]"
"""A node that need not be made yet: the list it is in and its index there, and what is around it, as in ``Place``."""


def _spots(
    region: PackedRegion, maps: tuple[int, ...], guards: tuple[tuple[PackedBranch, bool], ...]
) -> Iterator[tuple[int, _Spot]]:
    for index, (node_id, holds_regions) in enumerate(region.heads()):
        yield node_id, (region.nodes, index, maps, guards)
        if not holds_regions:
            continue
        node = region.nodes[index]
        if isinstance(node, PackedBranch):
            yield from _spots(node.then, maps, (*guards, (node, True)))
            yield from _spots(node.otherwise, maps, (*guards, (node, False)))
        else:
            for inner in packed_regions_of(node):
                yield from _spots(inner, (*maps, node_id), ())

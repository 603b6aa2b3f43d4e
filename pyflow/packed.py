"""The packed graph: a traced pipeline as plain JSON, with functions and constants replaced by addresses.

It is what executors take, what a worker reads, and what lies in the store as a blob; its digest names
everything that will run. Regions stay nested, as in the graph. Expressions stay JSON:

    5, "text", null, true, 0.5         the value itself
    {"ref": 3, "path": [...], "at": "flow.py:9"}   the result of node 3, or a part of it, and where that was taken
    {"in": 0, "path": [...]}           an input of the region around
    {"list": [...]}, {"tuple": [...]}  a container of expressions
    {"dict": [[key, value], ...]}      both sides expressions
    {"object": artifact, "fields": [[name, value], ...]}   a dataclass or named tuple of that class
    {"artifact": {...}}                a constant: see ``pyflow.artifacts``
    {"items": [3, 0]}                  only for an input of a map: the items in fact 0 of node 3
    {"sequence": artifact}             only for an input of a map: items that were known while tracing

A path is a list of ``["item", expression]`` and ``["attr", name]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from pyflow.errors import EnvironmentMismatchError
from pyflow.jsontext import EMPTY_ARRAY, EMPTY_OBJECT, Json, dump

PACKED_VERSION: Final = 1


class PackedOptions(NamedTuple):
    """The options of one or more nodes, as a worker and a scheduler read them."""

    cpus: float = 1.0
    memory_mib: int | None = None
    gpus: int = 0
    retries: int = 0
    backoff_s: float = 1.0
    retry_on: Json = None
    """Artifact that holds a tuple of exception classes; None: every ``Exception``."""
    timeout_s: float | None = None
    outputs: int | None = None
    env: dict[str, str] = EMPTY_OBJECT
    secret_env: dict[str, list[Json]] = EMPTY_OBJECT
    """Name and key of the secret whose value each of these variables has; the key may be None."""
    labels: dict[str, str] = EMPTY_OBJECT
    memory_on_oom_mib: int | None = None
    disk_mib: int | None = None
    environment: Json = None
    """The archive of installed packages; None: what the place has."""
    image: str | None = None
    python: str | None = None
    platform: str | None = None
    network: str | None = None
    volumes: list[list[Json]] = EMPTY_ARRAY
    """Each ``[folder, kind, name, is_read_only]``, see ``pyflow.Volume``."""
    node_selector: dict[str, str] = EMPTY_OBJECT
    tolerations: list[Json] = EMPTY_ARRAY
    service_account: str | None = None
    pod_patch: Json = None
    run_as_root: bool = False
    writable_root: bool = False
    given: list[str] = EMPTY_ARRAY


class PackedFunction(NamedTuple):
    """A function: either an artifact, or the name of one that every worker has."""

    name: str
    at: str
    artifact: Json = None
    builtin: str | None = None
    fingerprint: str = ""


class PackedCall(NamedTuple):
    """One call of a Python function."""

    id: int
    name: str
    at: str
    after: list[int]
    needs: list[int]
    """Nodes whose results the expressions of this node use."""
    function: int
    args: list[Json]
    kwargs: dict[str, Json]
    options: int
    facts: list[Json] = EMPTY_ARRAY
    """What others must know of the result before they can start, each ``["items", path, at]`` for the
    items of a map, ``["test", condition, at]`` for a branch, or ``["part", expression]`` for a part that the
    result of the pipeline has."""


class PackedContainer(NamedTuple):
    """One call of a container task."""

    id: int
    name: str
    at: str
    after: list[int]
    needs: list[int]
    image: str
    command: list[list[Json]]
    inputs: list[Json]
    outputs: list[Json]
    stdout: bool
    options: int


class PackedMap(NamedTuple):
    """A region that runs once for each item."""

    id: int
    name: str
    at: str
    after: list[int]
    needs: list[int]
    inputs: list[Json]
    """Each ``{"value": expression, "each": bool}``."""
    body: PackedRegion
    batch: int = 1


class PackedBranch(NamedTuple):
    """Two regions of which one runs, as a fact of another node says."""

    id: int
    name: str
    at: str
    after: list[int]
    needs: list[int]
    fact: list[int]
    """Node and index of its fact."""
    condition: str
    """For people."""
    then: PackedRegion
    otherwise: PackedRegion


class PackedSelect(NamedTuple):
    """The first of several values whose branches were taken."""

    id: int
    name: str
    at: str
    after: list[int]
    needs: list[int]
    candidates: list[Json]
    has_default: bool
    default: Json = None

    @property
    def none_made(self) -> str:
        """What to say when all candidates were skipped and there is no default."""
        return f"None of the values that first_of() got at {self.at} was made, and it has no default. Give it one: first_of(..., default=None)."


PackedNode: TypeAlias = "PackedCall | PackedContainer | PackedMap | PackedBranch | PackedSelect"


class NodesInJson(Sequence["PackedNode"]):
    """Nodes as JSON, each made when it is asked for: a worker runs a few of many.

    Args:
        wires: The nodes as ``to_bytes`` wrote them; they belong to this from now on.
    """

    __slots__ = ("_made", "_wires")

    def __init__(self, wires: list[dict[str, Any]]) -> None:
        self._wires = wires
        self._made: list[PackedNode | None] = [None] * len(wires)

    def __len__(self) -> int:
        return len(self._made)

    def __iter__(self) -> Iterator[PackedNode]:
        return map(self._node, range(len(self._made)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return list(self)[index]
        return self._node(range(len(self._made))[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def heads(self) -> Iterator[tuple[int, bool]]:
        """The id of each node, and whether it holds regions, without making it."""
        return ((wire["id"], wire["kind"] in _HOLD_REGIONS) for wire in self._wires)

    def _node(self, index: int) -> PackedNode:
        made = self._made[index]
        if made is None:
            made = self._made[index] = _node(self._wires[index])
        return made


class PackedRegion(NamedTuple):
    """A list of nodes with inputs and an output."""

    nodes: Sequence[PackedNode]
    inputs: list[str]
    output: Json

    def heads(self) -> Iterator[tuple[int, bool]]:
        """The id of each node, and whether it holds regions; inner regions left out."""
        if isinstance(self.nodes, NodesInJson):
            return self.nodes.heads()
        return ((node.id, kind_of(node) in _HOLD_REGIONS) for node in self.nodes)

    def walk(self) -> Iterator[PackedNode]:
        """All nodes, those of inner regions behind the node that holds them."""
        for node in self.nodes:
            yield node
            if isinstance(node, PackedCall):
                continue  # most are, and hold none
            for region in packed_regions_of(node):
                yield from region.walk()


def packed_regions_of(node: PackedNode) -> tuple[PackedRegion, ...]:
    """The regions that a node holds."""
    if isinstance(node, PackedMap):
        return (node.body,)
    if isinstance(node, PackedBranch):
        return (node.then, node.otherwise)
    return ()


class PackedGraph(NamedTuple):
    """All that will run, as plain JSON."""

    name: str
    python: str
    """The minor of Python that the functions were pickled with."""
    region: PackedRegion
    functions: list[PackedFunction]
    options: list[PackedOptions]
    on_exit: PackedCall | None = None
    parallelism: int | None = None
    fail_fast: bool = True
    code: Json = None
    """The code bundle: digest and size; None when no local module is needed."""
    origins: dict[str, str] = EMPTY_OBJECT
    """Where each file of the code bundle lies on the author's machine, for tracebacks."""
    at: str = ""

    def walk(self) -> Iterator[PackedNode]:
        """All nodes of the body, in the order of the trace."""
        return self.region.walk()

    def walk_all(self) -> Iterator[PackedNode]:
        """All nodes of the body, and behind them the exit handler."""
        yield from self.walk()
        if self.on_exit is not None:
            yield self.on_exit

    def is_helper(self, node: PackedNode) -> bool:
        """Whether pyflow added a node, to tell a fact."""
        return isinstance(node, PackedCall) and self.functions[node.function].builtin is not None

    def to_bytes(self) -> bytes:
        """The JSON text whose digest names this graph."""
        wire = {
            "version": PACKED_VERSION,
            **self._asdict(),
            "region": _region_wire(self.region),
            "functions": [function._asdict() for function in self.functions],
            "options": [_said(options) for options in self.options],
            "on_exit": self.on_exit and _node_wire(self.on_exit),
        }
        return dump(wire).encode()

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> PackedGraph:
        """The graph that ``to_bytes`` wrote.

        Raises:
            EnvironmentMismatchError: A newer pyflow wrote it.
        """
        wire = json.loads(bytes(data))
        version = wire.pop("version")
        if version != PACKED_VERSION:
            raise EnvironmentMismatchError(
                f"The packed graph has format {version}, and this pyflow reads {PACKED_VERSION}. "
                "Use the pyflow version that made the run, or start it again."
            )
        return cls(
            **{
                **wire,
                "region": _region(wire["region"]),
                "functions": [PackedFunction(**f) for f in wire["functions"]],
                "options": [PackedOptions(**o) for o in wire["options"]],
                "on_exit": wire["on_exit"] and _node(wire["on_exit"]),
            }
        )


_KINDS: Final[dict[str, type[Any]]] = {
    "call": PackedCall,
    "container": PackedContainer,
    "map": PackedMap,
    "branch": PackedBranch,
    "select": PackedSelect,
}
_KIND_OF: Final = {kind: name for name, kind in _KINDS.items()}
_HOLD_REGIONS: Final = frozenset({"map", "branch"})
_REGIONS: Final = ("body", "then", "otherwise")


def kind_of(node: PackedNode) -> str:
    """``call``, ``container``, ``map``, ``branch`` or ``select``."""
    return _KIND_OF[type(node)]


def unequal_lengths(node: PackedMap, counts: Sequence[int]) -> str:
    """What is said when the mapped arguments of a map turn out to differ in length.

    Args:
        node: The map.
        counts: How many items each of its mapped arguments has, in their order.
    """
    names = [name for name, source in zip(node.body.inputs, node.inputs, strict=True) if source["each"]]
    lengths = " and ".join(f"{name!r} has {count}" for name, count in zip(names, counts, strict=True))
    return f"The mapped arguments of {node.name}.map() at {node.at} have different lengths: {lengths}."


def nodes_in(value: Json) -> Iterator[int]:
    """Nodes whose results a packed expression, or a list of them, refers to."""
    if isinstance(value, dict):
        if "ref" in value:
            yield value["ref"]
        elif "items" in value:
            yield value["items"][0]
        else:
            for key in ("list", "tuple", "dict", "fields"):
                yield from nodes_in(value.get(key))
    elif isinstance(value, list):
        for item in value:
            yield from nodes_in(item)


def _region_wire(region: PackedRegion) -> dict[str, Any]:
    return {**region._asdict(), "nodes": [_node_wire(node) for node in region.nodes]}


def _node_wire(node: PackedNode) -> dict[str, Any]:
    wire = {"kind": kind_of(node), **node._asdict()}
    if wire["kind"] in _HOLD_REGIONS:
        wire.update({name: _region_wire(wire[name]) for name in _REGIONS if name in wire})
    return wire


def _said(options: PackedOptions) -> dict[str, Any]:
    # Most tasks say little, and the list of options grows with every version.
    return {name: said for name, said in options._asdict().items() if said != _UNSAID[name]}


_UNSAID: Final[dict[str, Json]] = PackedOptions()._asdict()


def _region(wire: dict[str, Any]) -> PackedRegion:
    return PackedRegion(nodes=NodesInJson(wire["nodes"]), inputs=wire["inputs"], output=wire["output"])


def _node(wire: dict[str, Any]) -> Any:
    said = wire.copy()
    kind = said.pop("kind")
    if kind in _HOLD_REGIONS:
        said.update({name: _region(said[name]) for name in _REGIONS if name in said})
    return _KINDS[kind](**said)

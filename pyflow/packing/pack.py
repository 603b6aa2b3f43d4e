"""Graph → PackedGraph: functions and constants become bytes in the store, and plain JSON is left.

Two things are added that the author did not write, because nobody who schedules may look into values:
*facts* that a node's worker tells beside its result (how many items there are, whether a condition
holds), and helper nodes that tell a fact about values that come from several nodes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeAlias, TypedDict

from pyflow.artifacts import Artifact, keep, keep_items, keep_payload
from pyflow.bundle import CodeBundle, fingerprint
from pyflow.errors import DefinitionError
from pyflow.graph import (
    BranchNode,
    Build,
    CallNode,
    Compare,
    Condition,
    ContainerNode,
    Expr,
    Function,
    Graph,
    Input,
    Literal,
    MapInput,
    MapNode,
    Node,
    Options,
    Path,
    Ref,
    Region,
    SelectNode,
    Truth,
    leaves,
    operands,
    refs_of,
)
from pyflow.jsontext import Json, dump
from pyflow.packed import (
    PackedBranch,
    PackedCall,
    PackedContainer,
    PackedFunction,
    PackedGraph,
    PackedMap,
    PackedNode,
    PackedOptions,
    PackedRegion,
    PackedSelect,
    nodes_in,
)
from pyflow.packing.code import keep_bundle
from pyflow.packing.condition import condition_text
from pyflow.packing.options import plain_options
from pyflow.payload import NOT_SMALL, encode_function, encode_small, spell_key
from pyflow.store import ContentStore

_Way: TypeAlias = "tuple[tuple[str, object], ...]"
"""Steps into what an argument or a result is, for messages: ``("item", key)`` or ``("attr", name)``."""

PYTHON_MINOR: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed graph, and the address of its bytes in the store."""

    graph: PackedGraph
    digest: str
    size_bytes: int


def pack(
    graph: Graph,
    content: ContentStore,
    *,
    bundle: CodeBundle | None = None,
    environment_of: Mapping[int, Json] = MappingProxyType({}),
) -> Packed:
    """Put all that a graph is made of into the store, and give what is left as plain JSON.

    Args:
        graph: What tracing gave.
        content: Where functions, constants and code go.
        bundle: The local modules that the functions import.
        environment_of: For the ids of nodes that have packages of their own, where these lie in the store
            (see ``provide_packages``).

    Raises:
        NotSerializableError: A function or a constant cannot be turned into bytes; the message names the part.
        SecretError: The value of a secret stands in one of them.
        StoreError: The store did not take it.
    """
    next_id = 1 + max((node.id for node in graph.walk_all()), default=-1)
    packer = _Packer(content, environment_of, next_id=next_id)
    region = packer.region(graph.region, f"the result of pipeline {graph.name!r} (defined at {graph.at})")
    on_exit = packer.call(graph.on_exit) if graph.on_exit is not None else None
    packed = PackedGraph(
        name=graph.name,
        python=PYTHON_MINOR,
        region=region,
        functions=packer.functions,
        options=packer.options,
        on_exit=on_exit,
        parallelism=graph.parallelism,
        fail_fast=graph.fail_fast,
        code=keep_bundle(bundle, content),
        origins=dict(bundle.origin) if bundle is not None else {},
        at=str(graph.at),
    )
    data = packed.to_bytes()
    content.guard.check([data], f"the graph of pipeline {graph.name!r}, with its options and labels,")
    digest = content.put_blob([data])
    return Packed(packed, digest.hex, digest.size_bytes)


class _Packer:
    """Packs one graph: what has been put into the store already, and the facts asked of each node."""

    def __init__(self, content: ContentStore, environment_of: Mapping[int, Json], *, next_id: int) -> None:
        self.functions: list[PackedFunction] = []
        self.options: list[PackedOptions] = []
        self._content = content
        self._environment_of = environment_of
        self._place_of: dict[int, tuple[Options, Json]] = {}
        self._next_id = next_id
        self._function_index: dict[int, int] = {}
        self._option_index: dict[tuple[int, str], int] = {}
        self._kept: dict[int, tuple[object, Json]] = {}
        self._node_kind: dict[int, type[Node]] = {}
        self._facts: dict[int, list[Json]] = {}

    def region(self, region: Region, what: str) -> PackedRegion:
        nodes: list[PackedNode] = []
        for node in region.nodes:
            self._node_kind[node.id] = type(node)
            nodes.extend(self._pack(node))
        nodes.extend(self._checked_parts(region, what))
        return PackedRegion(nodes=nodes, inputs=list(region.inputs), output=self.expr(region.output, what))

    def _checked_parts(self, region: Region, what: str) -> Iterator[PackedNode]:
        """See that the parts which a region gives exist: whoever makes a value takes them once, and fails if it cannot.

        Parts that tasks use need no such look, because the task fails that does not find its part.
        """
        by_id = {node.id: node for node in region.nodes}
        seen: set[str] = set()
        for leaf in leaves(region.output):
            if not isinstance(leaf, Ref) or not leaf.path:
                continue
            fact = ["part", self.expr(leaf, what)]
            if (text := dump(fact)) in seen:
                continue
            seen.add(text)
            node = by_id.get(leaf.node)
            if isinstance(node, CallNode):
                self._facts.setdefault(node.id, []).append(fact)
            elif isinstance(node, (MapNode, SelectNode)):
                yield self._helper(node, f"{node.name}.part", "nothing", [], [fact])

    def _pack(self, node: Node) -> Iterator[PackedNode]:
        """The node, behind the helpers that it needs."""
        if isinstance(node, CallNode):
            yield self.call(node)
        elif isinstance(node, MapNode):
            yield from self._map(node)
        elif isinstance(node, BranchNode):
            yield from self._branch(node)
        elif isinstance(node, SelectNode):
            yield self._select(node)
        else:
            yield self._container(node)

    def call(self, node: CallNode) -> PackedCall:
        facts = self._facts.setdefault(node.id, [])
        environment = self._environment_of.get(node.id)
        self._place_of[node.id] = node.options, environment
        return PackedCall(
            **_head(node, _needs(node)),
            function=self._function(node.function),
            args=[self.expr(value, _Argument(node, i)) for i, value in enumerate(node.args)],
            kwargs={key: self.expr(value, _Argument(node, key)) for key, value in node.kwargs},
            options=self._options(node.options, environment),
            facts=facts,
        )

    def _container(self, node: ContainerNode) -> PackedContainer:
        what = f"an argument of {node.name}(), called at {node.at},"
        return PackedContainer(
            **_head(node, _needs(node)),
            image=node.image,
            command=[[p if isinstance(p, str) else self.expr(p, what) for p in argument] for argument in node.command],
            inputs=[[name, self.expr(value, what), path] for name, value, path in node.inputs],
            outputs=[list(output) for output in node.outputs],
            stdout=node.stdout,
            options=self._options(node.options),
        )

    def _map(self, node: MapNode) -> Iterator[PackedNode]:
        inputs: list[Json] = []
        needs: dict[int, None] = {}
        for i, source in enumerate(node.inputs):
            if source.is_each:
                what = f"mapped argument {i + 1} of {node.name}(), called at {node.at},"
                value, helper = self._items(node, source, what)
                if helper is not None:
                    yield helper
            else:
                value = self.expr(source.value, f"an argument of {node.name}.map(), called at {node.at},")
            inputs.append({"value": value, "each": source.is_each})
            needs.update(dict.fromkeys(nodes_in(value)))
        body = self.region(node.body, f"the result of {node.name}(), called at {node.at},")
        if inner := [n.id for n in body.walk() if n.id in self._place_of]:
            self._place_of[node.id] = self._place_of[inner[0]]
        yield PackedMap(
            **_head(node, list(needs)),
            inputs=inputs,
            body=body,
            batch=node.batch,
        )

    def _items(self, node: MapNode, source: MapInput, what: str) -> tuple[Json, PackedCall | None]:
        """The expression for the items of a mapped value, and a helper node where it needs one."""
        value = source.value
        if isinstance(value, Literal) and not isinstance(value.value, Artifact):
            if not isinstance(value.value, (list, tuple)):
                raise DefinitionError(f"The {what} is {value.value!r}, which is not a list.")
            return {"sequence": keep_items(value.value, self._content, what=what)}, None
        if isinstance(value, Build) and value.kind in {"list", "tuple"}:
            return {"list": [self.expr(item, f"item {i} of {what}") for i, item in enumerate(value.items)]}, None
        if isinstance(value, Ref):
            kind = self._node_kind[value.node]
            if kind is MapNode and not value.path:
                return {"ref": value.node}, None
            if kind is CallNode:
                items = ["items", self._path(value.path, what), str(value.at or "")]
                return {"items": [value.node, self._fact(value.node, items)]}, None
        helper = self._helper(node, f"{node.name}.items", "identity", [self.expr(value, what)], [["items", [], ""]])
        return {"items": [helper.id, 0]}, helper

    def _branch(self, node: BranchNode) -> Iterator[PackedNode]:
        what = f"a condition at {node.at}"
        test = self._condition(node.condition, what)
        producers = {
            leaf for value in operands(node.condition) for leaf in leaves(value) if not isinstance(leaf, Literal)
        }
        nodes = {leaf.node if isinstance(leaf, Ref) else None for leaf in producers}
        decider = next(iter(nodes)) if len(nodes) == 1 else None
        if decider is not None and self._node_kind[decider] is CallNode:
            fact = [decider, self._fact(decider, ["test", test, str(node.at)])]
        else:
            helper = self._helper(node, f"{node.name}.condition", "nothing", [], [["test", test, str(node.at)]])
            fact = [helper.id, 0]
            yield helper
        yield PackedBranch(
            **_head(node, [fact[0]]),
            fact=fact,
            condition=condition_text(node.condition),
            then=self.region(node.then, f"the result of a branch at {node.at}"),
            otherwise=self.region(node.otherwise, f"the result of a branch at {node.at}"),
        )

    def _select(self, node: SelectNode) -> PackedSelect:
        what = f"a value of first_of(), called at {node.at},"
        if made := [ref.node for ref in refs_of(node) if ref.node in self._place_of]:
            self._place_of[node.id] = self._place_of[made[0]]
        return PackedSelect(
            **_head(node, _needs(node)),
            candidates=[self.expr(value, what) for value in node.candidates],
            has_default=node.default is not None,
            default=None if node.default is None else self.expr(node.default, what),
        )

    def _helper(self, node: Node, name: str, builtin: str, args: list[Json], facts: list[Json]) -> PackedCall:
        self.functions.append(PackedFunction(name=builtin, at="", builtin=builtin))
        needs = dict.fromkeys([n for value in (args, facts) for n in nodes_in(value)])
        self._next_id += 1
        return PackedCall(
            id=self._next_id - 1,
            name=name,
            at=str(node.at),
            after=list(node.after),
            needs=list(needs),
            function=len(self.functions) - 1,
            args=args,
            kwargs={},
            options=self._options_beside(needs),
            facts=facts,
        )

    def _options_beside(self, needs: Iterable[int]) -> int:
        """Options for a helper, which reads values: it runs with the packages and in the image that made the first of them."""
        options, environment = next((self._place_of[n] for n in needs if n in self._place_of), (_NO_OPTIONS, None))
        same_place = replace(_NO_OPTIONS, image=options.image, python=options.python, platform=options.platform)
        return self._options(same_place, environment)

    def _fact(self, node: int, fact: Json) -> int:
        facts = self._facts.setdefault(node, [])
        for index, known in enumerate(facts):
            if known[:2] == fact[:2]:  # all but where it was asked for
                return index
        facts.append(fact)
        return len(facts) - 1

    def _function(self, function: Function) -> int:
        index = self._function_index.get(id(function))
        if index is None:
            payload = encode_function(function.fn, what=f"task {function.name!r}")
            index = self._function_index[id(function)] = len(self.functions)
            self.functions.append(
                PackedFunction(
                    name=function.name,
                    at=str(function.at),
                    artifact=keep_payload(payload, self._content, what=f"the function of task {function.name!r}"),
                    fingerprint=fingerprint(function.fn),
                )
            )
        return index

    def _options(self, options: Options, environment: Json = None) -> int:
        key = id(options), "" if environment is None else environment["digest"]
        index = self._option_index.get(key)
        if index is None:
            retry_on = keep(options.retry_on, self._content, what="retry_on") if options.retry_on else None
            packed = PackedOptions(retry_on=retry_on, environment=environment, **plain_options(options))
            if packed in self.options:
                index = self.options.index(packed)
            else:
                index = len(self.options)
                self.options.append(packed)
            self._option_index[key] = index
            self._kept[id(options)] = (options, None)
        return index

    def expr(self, expr: Expr, what: object, way: _Way = ()) -> Json:
        if isinstance(expr, Literal):
            return self._literal(expr.value, what, way)
        if isinstance(expr, Ref):
            return {"ref": expr.node, **self._part(expr, what)}
        if isinstance(expr, Input):
            return {"in": expr.index, **self._part(expr, what)}
        kind = "attr" if expr.kind == "object" else "item"
        keys = expr.keys or range(len(expr.items))
        items = [self.expr(item, what, (*way, (kind, key))) for key, item in zip(keys, expr.items, strict=True)]
        if expr.kind == "dict":
            return {"dict": [[self._literal(k, what), v] for k, v in zip(expr.keys, items, strict=True)]}
        if expr.kind == "object":
            return {
                "object": keep(expr.type, self._content, what=str(what)),
                "fields": [[str(k), v] for k, v in zip(expr.keys, items, strict=True)],
            }
        return {expr.kind: items}

    def _literal(self, value: object, what: object, way: _Way = ()) -> Json:
        small = encode_small(value)
        if small is not NOT_SMALL:
            if isinstance(small, str):
                self._content.guard.check_text(small, what)
            return small
        if isinstance(value, Artifact):
            return {"artifact": value.wire_in(self._content)}
        known = self._kept.get(id(value))
        if known is None:
            # The value is held as well, because a freed object's id may be given to another one.
            known = self._kept[id(value)] = (value, keep(value, self._content, what=str(what), part=_spelled(way)))
        return {"artifact": known[1]}

    def _part(self, expr: Ref | Input, what: object) -> Json:
        if not expr.path:
            return {}
        part = {"path": self._path(expr.path, what)}
        return part if expr.at is None else {**part, "at": str(expr.at)}

    def _path(self, path: Path, what: object) -> Json:
        return [[kind, self._literal(key, what)] for kind, key in path]

    def _condition(self, condition: Condition, what: str) -> Json:
        if isinstance(condition, Compare):
            sides = (condition.left, condition.right)
            return [condition.op, *(self.expr(_unplaced(side), what) for side in sides)]
        if isinstance(condition, Truth):
            return ["truth", self.expr(_unplaced(condition.value), what)]
        return [condition.op, *(self._condition(operand, what) for operand in condition.operands)]


class _Argument:
    """Which argument of which call a value is: put into words only when something is wrong with it."""

    def __init__(self, node: CallNode, which: int | str) -> None:
        self._node = node
        self._which = which

    def __str__(self) -> str:
        code = getattr(self._node.function.fn, "__code__", None)
        names = code.co_varnames[: code.co_argcount] if code is not None else ()
        which = self._which
        if isinstance(which, int):
            which = repr(names[which]) if which < len(names) else str(which + 1)
        else:
            which = repr(which)
        return f"argument {which} of {self._node.name}(), called at {self._node.at},"


def _spelled(way: _Way) -> str:
    """The way to a part as its author would write it: ``['l'].x``."""
    return "".join(f"[{spell_key(key)}]" if kind == "item" else f".{key}" for kind, key in way)


_NO_OPTIONS: Final = Options(cpus=0.01)


def _unplaced(expr: Expr) -> Expr:
    """The expression without the lines of its parts: of two equal conditions it makes no difference where they stand."""
    if isinstance(expr, Build):
        return replace(expr, items=tuple(map(_unplaced, expr.items)))
    return expr if isinstance(expr, Literal) else replace(expr, at=None)


def _needs(node: Node) -> list[int]:
    return list(dict.fromkeys(ref.node for ref in refs_of(node)))


class _Head(TypedDict):
    """What all packed nodes begin with."""

    id: int
    name: str
    at: str
    after: list[int]
    needs: list[int]


def _head(node: Node, needs: list[int]) -> _Head:
    return {"id": node.id, "name": node.name, "at": str(node.at), "after": list(node.after), "needs": needs}

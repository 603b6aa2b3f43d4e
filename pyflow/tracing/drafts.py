"""Nodes and regions in the making. They stay open until the body has ended, since ``a >> b`` may add to any of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pyflow.graph import (
    BranchNode,
    CallNode,
    Condition,
    ContainerNode,
    Expr,
    Input,
    Location,
    MapInput,
    MapNode,
    Node,
    OptionArgs,
    Path,
    Ref,
    Region,
    SelectNode,
    Step,
)
from pyflow.graph import Literal as Known
from pyflow.tracing.frames import Frame

if TYPE_CHECKING:
    from pyflow.tracing.recorder import Trace

ScopeKind = Literal["body", "map", "branch"]


class Scope:
    """A region in the making."""

    __slots__ = (
        "at",
        "defaults",
        "drafts",
        "frames",
        "inputs",
        "is_open",
        "kind",
        "owner",
        "parent",
        "prefix",
        "trace",
    )

    def __init__(
        self, trace: Trace, kind: ScopeKind, at: Location, *, owner: Draft | None = None, parent: Scope | None = None
    ) -> None:
        self.trace = trace
        self.kind = kind
        self.at = at
        self.owner = owner
        """The map or branch that this will be a region of."""
        self.parent = parent
        self.drafts: list[Draft] = []
        self.inputs: list[str] = []
        self.is_open = True
        self.prefix: str = parent.prefix if parent else ""
        self.defaults: OptionArgs = parent.defaults if parent else {}
        self.frames: list[Frame] = [Frame()]

    def sees(self, other: Scope) -> bool:
        """Whether code in this scope may use values of the other: its own, and those around a branch."""
        scope: Scope | None = self
        while scope is not None:
            if scope is other:
                return True
            scope = scope.parent if scope.kind == "branch" else None
        return False

    def region(self, output: Expr) -> Region:
        """The finished region, each node after everything it needs."""
        drafts = self.drafts if not self.trace.has_backward_edge else _sorted(self)
        return Region(tuple(draft.freeze() for draft in drafts), tuple(self.inputs), output)


class Draft:
    """A node in the making."""

    __slots__ = ("after", "at", "id", "name", "needs", "scope")

    def __init__(self, scope: Scope, name: str, at: Location, needs: set[int]) -> None:
        self.scope = scope
        self.id = len(scope.trace.drafts)
        self.name = name
        self.at = at
        self.needs = needs
        """Nodes whose results this one uses."""
        self.after: set[int] = set()
        """Nodes this one only waits for."""
        scope.trace.drafts.append(self)
        scope.drafts.append(self)

    def expr(self, path: Path, at: Location | None) -> Ref:
        """The result of this node, or a part of it."""
        return Ref(self.id, path, at)

    def step(self, path: Path, step: Step) -> Step:  # noqa: ARG002
        """One step further into the result; a node that knows its parts refuses others."""
        return step

    def regions(self) -> tuple[Scope, ...]:
        """The scopes that this node holds."""
        return ()

    def freeze(self) -> Node:
        """The finished node."""
        raise NotImplementedError


class LeafDraft(Draft):
    """A node without regions."""

    __slots__ = ("node",)
    node: CallNode | ContainerNode | SelectNode

    def freeze(self) -> Node:
        """The finished node, with its order."""
        return replace(self.node, after=tuple(sorted(self.after))) if self.after else self.node


class MapDraft(Draft):
    """A map; its inputs are collected while its body is traced."""

    __slots__ = ("batch", "body", "inputs", "output")

    def __init__(self, scope: Scope, name: str, at: Location) -> None:
        super().__init__(scope, name, at, set())
        self.inputs: list[MapInput] = []
        self.batch = 1
        self.body = Scope(scope.trace, "map", at, owner=self, parent=scope)
        self.output: Expr = Known(None)

    def step(self, path: Path, step: Step) -> Step:
        """One step further; a part of an item is the matter of the node that makes the items."""
        if len(path) == 1 and isinstance(self.output, Ref) and not self.output.path:
            return self.scope.trace.drafts[self.output.node].step((), step)  # a part of one item
        return step

    def regions(self) -> tuple[Scope, ...]:
        """The scopes that this node holds."""
        return (self.body,)

    def freeze(self) -> Node:
        """The finished map."""
        return MapNode(
            id=self.id,
            name=self.name,
            after=tuple(sorted(self.after)),
            at=self.at,
            body=self.body.region(self.output),
            inputs=tuple(self.inputs),
            batch=self.batch,
        )


class BranchDraft(Draft):
    """A ``when`` and, perhaps, its ``otherwise``."""

    __slots__ = ("condition", "otherwise", "then")

    def __init__(self, scope: Scope, name: str, at: Location, condition: Condition, needs: set[int]) -> None:
        super().__init__(scope, name, at, needs)
        self.condition = condition
        self.then = self.side(at)
        self.otherwise: Scope | None = None

    def side(self, at: Location) -> Scope:
        """A scope for one of the two sides; the order of calls goes on in it as around it."""
        scope = Scope(self.scope.trace, "branch", at, owner=self, parent=self.scope)
        scope.frames = [Frame(is_steps=self.scope.frames[-1].is_steps)]
        return scope

    def regions(self) -> tuple[Scope, ...]:
        """The scopes that this node holds."""
        return (self.then,) if self.otherwise is None else (self.then, self.otherwise)

    def freeze(self) -> Node:
        """The finished branch."""
        nothing = Known(None)
        return BranchNode(
            id=self.id,
            name=self.name,
            after=tuple(sorted(self.after)),
            at=self.at,
            condition=self.condition,
            then=self.then.region(nothing),
            otherwise=Region((), (), nothing) if self.otherwise is None else self.otherwise.region(nothing),
        )


class InputOrigin:
    """Where the value of an input comes from: a parameter, or what a map hands to its body."""

    __slots__ = ("at", "id", "index", "name", "scope")

    def __init__(self, scope: Scope, name: str, at: Location) -> None:
        self.scope = scope
        self.index = len(scope.inputs)
        self.id = -1  # no node makes it
        self.name = name
        self.at = at
        scope.inputs.append(name)

    def expr(self, path: Path, at: Location | None) -> Input:
        """The input, or a part of it."""
        return Input(self.index, path, at)

    def step(self, path: Path, step: Step) -> Step:  # noqa: ARG002
        """One step further into the value; nothing is known about its parts."""
        return step


def needs_of(draft: Draft) -> Iterator[int]:
    """What a draft waits for, those in its regions included, whichever scope it is in."""
    yield from draft.needs
    yield from draft.after
    for scope in draft.regions():
        if scope.kind == "branch":
            for inner in scope.drafts:
                yield from needs_of(inner)


def visible_from(draft: Draft, scope: Scope) -> Draft | None:
    """The draft itself, or the branch around it that this scope sees; None when there is none."""
    seen: Draft | None = draft
    while seen is not None and not scope.sees(seen.scope):
        seen = seen.scope.owner
    return seen


def _sorted(scope: Scope) -> list[Draft]:
    """The drafts of a scope, each after what it needs; ties keep the order of the trace."""
    here = {draft.id: draft for draft in scope.drafts}
    done: dict[int, Draft] = {}
    for draft in scope.drafts:
        stack = [draft]
        while stack:
            top = stack[-1]
            missing = [here[n] for n in needs_of(top) if n in here and n not in done and n != top.id]
            if missing:
                stack.append(min(missing, key=lambda d: d.id))
            else:
                done[stack.pop().id] = top
    return list(done.values())

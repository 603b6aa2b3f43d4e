"""Source read as syntax: where a function or class stands in it, its normal form, and the names it leaves open.

The normal form is what a fingerprint is made of: positions, docstrings and comments are gone, so moving
code or explaining it changes nothing. Files are parsed once for each version of them.
"""

from __future__ import annotations

import ast
import linecache
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from pyflow.source import parse_source

Chain: TypeAlias = "tuple[str, ...]"
"""A name and the attributes asked of it: ``np.linalg.norm`` is ``("np", "linalg", "norm")``."""

FUNCTIONS: Final = frozenset({"FunctionDef", "AsyncFunctionDef"})
_COMPREHENSIONS: Final = frozenset({"ListComp", "SetComp", "DictComp", "GeneratorExp"})
_DOCUMENTED: Final = FUNCTIONS | {"ClassDef", "Module"}
# Say nothing of what the code does; ``ctx`` follows from where a name stands.
_SKIPPED_FIELDS: Final = frozenset({"ctx", "type_comment", "kind", "type_ignores"})


@dataclass(frozen=True, eq=False)
class Source:
    """A parsed source file or notebook cell."""

    tree: ast.Module
    functions: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    """Nodes by name and first line, which is that of the first decorator; lambdas come in when asked for."""
    classes: dict[str, list[Any]] = field(default_factory=dict)
    """Nodes by qualified name."""

    def function(self, name: str, first_line: int) -> list[Any]:
        """The nodes that a code object of that name and line may come from; several lambdas may share a line."""
        if name == "<lambda>" and not any(key[0] == name for key in self.functions):
            self._index_lambdas()
        return self.functions.get((name, first_line), [])

    def _index_lambdas(self) -> None:
        waiting: list[Any] = [self.tree]
        while waiting:
            node = waiting.pop()
            waiting.extend(children(node))
            if type(node).__name__ == "Lambda":
                self.functions.setdefault(("<lambda>", node.lineno), []).append(node)


def source_of(filename: str, scope: dict[str, Any]) -> Source | None:
    """The parsed source of a file, a notebook cell or a module in a zip; None when there is no text or no sense in it."""
    try:
        status = os.stat(filename)  # noqa: PTH116 - for each function of a run, and a tenth of the time
    except OSError:
        # Notebook cells and zip files are known here.
        text = "".join(linecache.getlines(filename, scope))
        return _parse_text(text) if text else None
    return _parse_file(filename, status.st_mtime_ns, status.st_size)


def normal_form(node: Any) -> str:
    """A node, and all below it, as text that only a change of the code changes; its own decorators left out."""
    pieces: list[str] = []
    _write_form(node, pieces.append, skipped=_SKIPPED_FIELDS | {"decorator_list"})
    return "".join(pieces)


def open_names(*nodes: Any, without_decorators: bool = False) -> frozenset[Chain]:
    """Names that these nodes use and do not bind themselves, with the attributes asked of them."""
    scope = _Scope()
    scope.skipped = nodes if without_decorators else ()
    for node in nodes:
        scope.visit(node)
    return frozenset(scope.open())


class _Scope:
    """The names of one function, class or comprehension."""

    def __init__(self, *, is_class: bool = False) -> None:
        self.is_class = is_class
        self.bound: set[str] = set()
        self.elsewhere: set[str] = set()
        self.used: set[Chain] = set()
        self.beyond: set[Chain] = set()
        self.skipped: tuple[Any, ...] = ()
        """Nodes whose decorators do not count."""

    def open(self) -> set[Chain]:
        """What the scope asks of those around it."""
        own = self.bound - self.elsewhere
        return {chain for chain in self.used if chain[0] not in own} | self.beyond

    def visit(self, node: Any) -> None:
        kind = type(node).__name__
        if kind == "Name":
            self._name(node)
        elif kind == "Attribute":
            self._attribute(node)
        elif kind in FUNCTIONS or kind == "Lambda":
            self._function(node)
        elif kind == "ClassDef":
            self._class(node)
        elif kind in _COMPREHENSIONS:
            self._inner(_Scope(), list(children(node)))
        elif kind in {"Import", "ImportFrom"}:
            self.bound.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif kind in {"Global", "Nonlocal"}:
            self.elsewhere.update(node.names)
        else:
            # Handlers of exceptions, patterns and type parameters bind names of their own.
            self.bound.update(name for key in ("name", "rest") if isinstance(name := getattr(node, key, None), str))
            for child in children(node):
                self.visit(child)

    def _name(self, node: Any) -> None:
        if type(node.ctx).__name__ == "Load":
            self.used.add((node.id,))
        else:
            self.bound.add(node.id)

    def _attribute(self, node: Any) -> None:
        attributes = []
        while type(node).__name__ == "Attribute":
            attributes.append(node.attr)
            node = node.value
        if type(node).__name__ == "Name" and type(node.ctx).__name__ == "Load":
            self.used.add((node.id, *reversed(attributes)))
        else:
            self.visit(node)

    def _function(self, node: Any) -> None:
        arguments = node.args
        outside = [*arguments.defaults, *(default for default in arguments.kw_defaults if default is not None)]
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        named = [argument for argument in named if argument is not None]
        outside += [argument.annotation for argument in named if argument.annotation is not None]
        if type(node).__name__ != "Lambda":
            self.bound.add(node.name)
            outside += [*self._decorators(node), *([node.returns] if node.returns is not None else [])]
        for part in outside:
            self.visit(part)
        inner = _Scope()
        inner.bound.update(argument.arg for argument in named)
        body = node.body if isinstance(node.body, list) else [node.body]
        self._inner(inner, [*getattr(node, "type_params", ()), *body])

    def _class(self, node: Any) -> None:
        self.bound.add(node.name)
        for part in (*self._decorators(node), *node.bases, *node.keywords):
            self.visit(part)
        self._inner(_Scope(is_class=True), [*getattr(node, "type_params", ()), *node.body])

    def _decorators(self, node: Any) -> list[Any]:
        return [] if any(node is skipped for skipped in self.skipped) else node.decorator_list

    def _inner(self, inner: _Scope, nodes: list[Any]) -> None:
        for node in nodes:
            inner.visit(node)
        # A method does not see the names of its class body: it looks past them.
        (self.beyond if self.is_class else self.used).update(inner.open())


def _write_form(node: Any, write: Callable[[str], object], skipped: frozenset[str] = _SKIPPED_FIELDS) -> None:
    kind = type(node).__name__
    names = getattr(node, "_fields", None)
    if names is None:
        write(f"{kind} {node!r};")
        return
    write(kind + "(")
    for name in names:
        value = getattr(node, name, None)
        if value is None or name in skipped or value == []:
            continue
        write(name + "=")
        if type(value) is str:  # a name; constants are longer ways round, and rarer
            write(repr(value))
        elif type(value) is list:
            write("[")
            for item in value[1:] if name == "body" and kind in _DOCUMENTED and _is_text(value[0]) else value:
                _write_form(item, write)
            write("]")
        else:
            _write_form(value, write)
    write(")")


def parse(text: str | bytes) -> ast.Module | None:
    """The syntax of some source; None when it is not valid Python, which the importer will say better."""
    try:
        return parse_source(text)
    except (SyntaxError, ValueError):
        return None


def children(node: Any) -> Iterator[Any]:
    """The nodes right below a node, in the order of the source."""
    for name in node._fields:
        value = getattr(node, name, None)
        for child in value if isinstance(value, list) else (value,):
            if hasattr(child, "_fields"):
                yield child


def _is_text(statement: Any) -> bool:
    """True for a statement that is nothing but a string: a docstring, if it comes first."""
    return type(statement).__name__ == "Expr" and isinstance(getattr(statement.value, "value", None), str)


@lru_cache(maxsize=512)
def _parse_file(filename: str, _mtime_ns: int, _size_bytes: int) -> Source | None:
    return _parse(Path(filename).read_bytes())


@lru_cache(maxsize=512)
def _parse_text(text: str) -> Source | None:
    return _parse(text)


def _parse(text: str | bytes) -> Source | None:
    tree = parse(text)
    if tree is None:
        return None
    source = Source(tree)
    _index(source, source.tree.body, "")
    return source


def _index(source: Source, statements: list[Any], prefix: str) -> None:
    for node in statements:
        kind = type(node).__name__
        inner = prefix
        if kind in FUNCTIONS:
            first_line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            source.functions.setdefault((node.name, first_line), []).append(node)
            inner = f"{prefix}{node.name}.<locals>."
        elif kind == "ClassDef":
            source.classes.setdefault(prefix + node.name, []).append(node)
            inner = f"{prefix}{node.name}."
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            below = getattr(node, part, None)
            if isinstance(below, list):
                _index(source, below, inner)

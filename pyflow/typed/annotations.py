"""The text of an annotation → the type that it names, as far as JSON has its values. Nothing of the author's is imported."""

from __future__ import annotations

import ast
import collections.abc
from typing import Any, Final, Literal, Optional, Union

from pyflow.source import parse_expression

_TYPES: Final[dict[str, Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list,
    "dict": dict,
    "List": list,
    "Dict": dict,
    "object": object,
    "Any": Any,
    "Optional": Optional,
    "Union": Union,
    "Literal": Literal,
    "Sequence": collections.abc.Sequence,
    "Mapping": collections.abc.Mapping,
    "Iterable": collections.abc.Iterable,
}
"""By the last part of its name: what module it is imported from, and as what, the text does not say."""
_INCOMPLETE: Final[list[Any]] = [Optional, Union, Literal]
_MAPPINGS: Final[list[Any]] = [dict, collections.abc.Mapping]


class UnknownNames(ValueError):  # noqa: N818  what is wrong is said by whoever asked
    """An annotation names types that JSON has no values of.

    Attributes:
        names: Their last parts, sorted.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names


def hint_of(annotation: str) -> Any:
    """The type that an annotation names; ``Any`` for an empty one.

    Raises:
        UnknownNames: It has parts that JSON has no values of, as dates and classes.
    """
    if not annotation.strip():
        return Any
    try:
        tree = parse_expression(annotation.strip())
    except SyntaxError:
        raise UnknownNames([annotation]) from None
    unknown: set[str] = set()
    hint = _built(tree, unknown)
    if hint in _INCOMPLETE:
        unknown.add(annotation)
    if unknown:
        raise UnknownNames(sorted(unknown))
    return hint


def _built(node: ast.expr, unknown: set[str]) -> Any:
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = node.id if isinstance(node, ast.Name) else node.attr
        return _TYPES[name] if name in _TYPES else _miss(name, unknown)
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _quoted(node.value, unknown)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return Union[_built(node.left, unknown), _built(node.right, unknown)]  # noqa: UP007  made of values
    if isinstance(node, ast.Subscript):
        return _of_parts(node, unknown)
    return _miss(ast.unparse(node), unknown)


def _of_parts(node: ast.Subscript, unknown: set[str]) -> Any:
    whole = _built(node.value, unknown)
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    inner = tuple((_literal if whole is Literal else _built)(part, unknown) for part in parts)
    if unknown:
        return Any
    try:
        if whole in _MAPPINGS and len(inner) != 2:
            raise TypeError
        return whole[inner if len(inner) > 1 else inner[0]]
    except TypeError:
        return _miss(ast.unparse(node), unknown)


def _literal(part: ast.expr, unknown: set[str]) -> Any:
    """One of the values that a parameter may have; a name in its place is a member of the author's own enumeration."""
    try:
        return ast.literal_eval(part)
    except ValueError:
        return _miss(ast.unparse(part).partition(".")[0], unknown)


def _quoted(text: str, unknown: set[str]) -> Any:
    try:
        return hint_of(text)
    except UnknownNames as error:
        unknown.update(error.names)
        return Any


def _miss(name: str, unknown: set[str]) -> Any:
    unknown.add(name)
    return Any

"""Values in a body → expressions: placeholders, and artifacts of earlier runs, are found in them at any depth, and what is known is written down.

Lists, dicts, tuples and sets of known values are copied, so that what the body does to them later is not
seen by the task. Every other object (a data frame, an instance of a class) is taken as it is and is
read when the trace has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final, cast

from pyflow.artifacts import Artifact
from pyflow.errors import DefinitionError
from pyflow.graph import Build, Expr, Literal, Secret, Volume
from pyflow.tracing.condition import Condition, misplaced
from pyflow.tracing.drafts import Scope
from pyflow.tracing.location import here
from pyflow.tracing.traced import Traced, describe, expr_of

_ATOMS: Final = frozenset({int, float, complex, str, bytes, bool, type(None), type(...), range, slice, type})
"""Types whose instances hold no placeholder and never change."""


class Each:
    """Marks a keyword argument of ``.map()`` as one to go through item by item."""

    __slots__ = ("values",)

    def __init__(self, values: Any) -> None:
        self.values = values


def express(value: Any, scope: Scope, needs: set[int], what: str) -> Expr:
    """The expression of a value in a scope.

    Args:
        needs: Gets the ids of the nodes whose results the value holds.
        what: The value's place for error messages: ``argument 'lr' of 'fit'``.

    Raises:
        DefinitionError: It holds a condition, or a placeholder that cannot be used here.
    """
    if type(value) in _ATOMS:
        return Literal(value)
    if isinstance(value, Traced):
        expr = expr_of(value, scope)
        _note_need(value, needs)
        return expr
    parts = _parts(value)
    if parts is None:
        _refuse_markers(value, what)
        _refuse_held(value, what)
        return Literal(value)
    holders = _holders(value, what)
    if not holders:
        return Literal(_copy(value, {}, what))
    return _Builder(holders, scope, needs, what).build(value)


def _note_need(value: Traced, needs: set[int]) -> None:
    node = value.__pyflow_origin__.id
    if node >= 0:
        needs.add(node)


def _refuse_markers(value: Any, what: str) -> None:
    if isinstance(value, Condition):
        raise misplaced(value, what=f"{what[0].upper()}{what[1:]}")
    if isinstance(value, Each):
        raise DefinitionError(
            f"{what[0].upper()}{what[1:]} is each(...), at {here()}. each() marks an argument of .map(): write task.map(x=each(values))."
        )


def _in_vain(value: Secret | Volume, what: str) -> DefinitionError:
    """A secret or a volume as an argument: the task would get its name, which is not what anybody wants."""
    instead = (
        f'Let a variable have its value, @task(env={{"TOKEN": Secret({value.name!r})}}), and read os.environ["TOKEN"] in the task.'
        if isinstance(value, Secret)
        else "Say where the task finds the folder, @task(volumes={'/mnt/data': ...}), and open files below that path in it."
    )
    kind = type(value).__name__
    return DefinitionError(
        f"{what[0].upper()}{what[1:]}, given at {here()}, holds a {kind}, which names something of the place where tasks run. {instead}"
    )


def _refuse_held(value: Any, what: str) -> None:
    """Refuse arrays and frames that hold a placeholder: their makers asked no hook, and took it for an object."""
    held = next((part for part in _objects_in(value) if isinstance(part, Traced)), None)
    if held is not None:
        raise DefinitionError(
            f"{what[0].upper()}{what[1:]}, given at {here()}, is a {type(value).__name__} that holds {describe(held)}. An array or a frame "
            "is made of values, and there is none yet: make it in a task that gets the value as an argument."
        )


def _objects_in(value: Any) -> Iterator[Any]:
    """The items of an array of objects, or of the columns of a frame that hold objects."""
    library = type(value).__module__.partition(".")[0]
    if library not in ("numpy", "pandas"):
        return
    columns = [value.iloc[:, i] for i in range(value.shape[1])] if hasattr(value, "columns") else [value]
    for column in columns:
        if str(getattr(column, "dtype", "")) == "object":
            yield from column.ravel().tolist() if library == "numpy" else column.tolist()


def _is_record(value: Any) -> bool:
    """Whether this is an instance of a dataclass or of a named tuple."""
    kind = type(value)
    return hasattr(kind, "__dataclass_fields__") or (issubclass(kind, tuple) and hasattr(kind, "_fields"))


def _field_names(value: Any) -> tuple[str, ...]:
    kind = type(value)
    if issubclass(kind, tuple):
        return tuple(cast("Any", kind)._fields)
    return tuple(field.name for field in fields(value))


def _parts(value: Any) -> list[Any] | None:
    """What a container holds, or None for a value that is not looked into."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, (set, frozenset, bytearray)):
        return []  # what they hold has a hash, which a placeholder has not
    if hasattr(type(value), "__dataclass_fields__"):
        return [getattr(value, name, None) for name in _field_names(value)]
    return None


def _holders(value: Any, what: str) -> set[int]:
    """The ids of the containers in a value that hold a placeholder, directly or not."""
    parents: dict[int, list[int]] = {id(value): []}
    holders: list[int] = []
    todo = [value]
    while todo:
        container = todo.pop()
        if isinstance(container, (Secret, Volume)):
            raise _in_vain(container, what)
        parts = _parts(container) or ()
        if _ATOMS.issuperset(map(type, parts)):
            continue
        for part in parts:
            if isinstance(part, (Traced, Artifact)):
                holders.append(id(container))
            elif id(part) in parents:
                parents[id(part)].append(id(container))
            elif type(part) not in _ATOMS and _parts(part) is not None:
                parents[id(part)] = [id(container)]
                todo.append(part)
            else:
                _refuse_markers(part, f"a part of {what}")
                _refuse_held(part, f"a part of {what}")
    found: set[int] = set()
    while holders:
        holder = holders.pop()
        if holder not in found:
            found.add(holder)
            holders.extend(parents[holder])
    return found


class _Builder:
    """Makes the expression of one value that holds placeholders."""

    def __init__(self, holders: set[int], scope: Scope, needs: set[int], what: str) -> None:
        self._holders = holders
        self._scope = scope
        self._needs = needs
        self._what = what
        self._copies: dict[int, Any] = {}
        self._above: set[int] = set()

    def build(self, value: Any) -> Expr:
        if isinstance(value, Traced):
            _note_need(value, self._needs)
            return expr_of(value, self._scope)
        if isinstance(value, Artifact):
            return Literal(value)
        if id(value) not in self._holders:
            return Literal(_copy(value, self._copies, self._what))
        if id(value) in self._above:
            raise DefinitionError(
                f"{self._what[0].upper()}{self._what[1:]}, given at {here()}, is a {type(value).__name__} that holds itself and a "
                "placeholder. Such a value cannot be put together again: build it in a task."
            )
        self._above.add(id(value))
        expr = self._container(value)
        self._above.discard(id(value))
        return expr

    def _container(self, value: Any) -> Expr:
        kind = type(value)
        if kind is dict:
            return Build("dict", self._all(value.values()), tuple(value))
        if kind is list or kind is tuple:
            return Build("list" if kind is list else "tuple", self._all(value))
        if _is_record(value):
            names = _field_names(value)
            return Build("object", self._all(getattr(value, name, None) for name in names), names, kind)
        inner = next(part for part in _parts(value) or () if isinstance(part, Traced) or id(part) in self._holders)
        held = describe(inner) if isinstance(inner, Traced) else "a placeholder"
        raise DefinitionError(
            f"{self._what[0].upper()}{self._what[1:]}, given at {here()}, is a {kind.__name__} that holds {held}. Placeholders may be "
            "in lists, tuples, dicts, dataclasses and named tuples; put it in one of these, or as an argument of its own."
        )

    def _all(self, values: Any) -> tuple[Expr, ...]:
        return tuple(self.build(value) for value in values)


def _copy(value: Any, copies: dict[int, Any], what: str) -> Any:
    """A copy of lists, dicts, tuples and sets inside each other; shared ones stay shared, cycles stay cycles."""
    try:
        return _copied(value, copies)
    except RecursionError as error:
        raise DefinitionError(
            f"{what[0].upper()}{what[1:]}, given at {here()}, is nested too deeply to be copied. Build it in a task."
        ) from error


def _copied(value: Any, copies: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in _ATOMS or kind not in _COPIED:
        return value
    known = copies.get(id(value))
    if known is not None:
        return known[0]
    if kind is tuple:
        items = [_copied(item, copies) for item in value]
        if id(value) in copies:  # reached again through a list inside it
            return copies[id(value)][0]
        same = all(new is old for new, old in zip(items, value))  # noqa: B905 (equally long)
        copy: Any = value if same else tuple(items)
        copies[id(value)] = (copy, value)
    elif kind is list:
        copy = []
        copies[id(value)] = (copy, value)
        copy.extend(value if _ATOMS.issuperset(map(type, value)) else [_copied(item, copies) for item in value])
    elif kind is dict:
        copy = {}
        copies[id(value)] = (copy, value)
        copy.update({key: _copied(item, copies) for key, item in value.items()})
    else:
        copy = value if kind is frozenset else kind(value)
        copies[id(value)] = (copy, value)
    return copy


_COPIED: Final = frozenset({list, dict, tuple, set, frozenset, bytearray})


def placeholders_in(value: Any) -> Iterator[Traced]:
    """The placeholders in a value, at any depth, from left to right."""
    seen: set[int] = set()
    todo = [value]
    while todo:
        part = todo.pop()
        if isinstance(part, Traced):
            yield part
        elif type(part) not in _ATOMS and id(part) not in seen:
            seen.add(id(part))
            todo.extend(reversed(_parts(part) or ()))

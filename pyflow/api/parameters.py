"""The parameters of a deployed pipeline: texts on their way through the cluster, values at both ends.

What somebody gives in Python becomes a text that is read back as the same value, or is refused; what somebody types, anywhere,
is read by the type that the annotation says. Both happen before a run starts where pyflow starts it, and in its first pod in any case.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from pyflow.errors import DefinitionError
from pyflow.graph import Parameter
from pyflow.runtime import PARAMETERS_VARIABLE, texts_given
from pyflow.tracing import task
from pyflow.typed import Unfit, UnknownNames, allows_none, hint_of, parse_one, type_text

# Linux starts no program with a longer variable (128 KiB, execve(2)), and base64 makes 4 of 3.
MOST_BYTES: Final = 96_000
"""Of all parameters of a run together, in JSON."""

_SPELLED: Final = (str, int, float, bool, list, dict)
"""What a default says of a parameter without an annotation."""
_MOST_SHOWN: Final = 200

T = TypeVar("T")
Row = tuple[str, str, bool]
"""Name, annotation, and whether it has a default."""


@task(name="parameters")
def given(wanted: list[tuple[str, str]]) -> dict[str, Any]:
    """The values that this run was started with, by name; each is checked against the type that its annotation says."""
    texts = texts_given(os.environ[PARAMETERS_VARIABLE])
    values, faults = _each(wanted, lambda name, annotation: value_of(texts.get(name), annotation, name))
    if faults:
        raise ValueError("\n".join(faults))
    return values


def _each(wanted: Iterable[tuple[str, str]], convert: Callable[[str, str], T]) -> tuple[dict[str, T], list[str]]:
    """What is made of each name and its annotation, and what is wrong with the others."""
    made, faults = {}, []
    for name, annotation in wanted:
        try:
            made[name] = convert(name, annotation)
        except (ValueError, DefinitionError) as error:
            faults.append(str(error))
    return made, faults


def row_of(parameter: Parameter, pipeline: str) -> Row:
    """A parameter with its type as text: its annotation, or what its default says.

    Raises:
        DefinitionError: It is annotated with a type that JSON does not have.
    """
    annotation, default = parameter.annotation, parameter.default
    if not annotation and type(default) in _SPELLED:
        annotation = type(default).__name__
    hint = _checked(parameter.name, annotation, pipeline)
    if annotation and not parameter.is_required and default is None and hint is not Any and not allows_none(hint):
        annotation += " | None"
    return parameter.name, annotation, not parameter.is_required


def _checked(name: str, annotation: str, pipeline: str) -> Any:
    """The type, unless nobody can type its values on Argo's page: tasks would get something else than they are written for.

    Raises:
        DefinitionError: JSON does not have it.
    """
    try:
        return hint_of(annotation)
    except UnknownNames as error:
        raise DefinitionError(
            f"The parameter {name!r} of pipeline {pipeline!r} is annotated {annotation}. A deployed pipeline takes texts, numbers, lists and "
            f"dicts, as Argo's own page does: annotate it str, or what else is plain, and let a task make {', '.join(error.names)} of it."
        ) from None


def value_of(text: str | None, annotation: str, name: str) -> Any:
    """A parameter's value from what somebody typed: JSON, or for texts the text itself.

    Raises:
        ValueError: It is not of the type that the annotation says.
    """
    if text is None:
        raise ValueError(f"The parameter {name!r} was not given a value.")
    hint = hint_of(annotation)
    try:
        return parse_one(text, hint)
    except Unfit as error:
        raise ValueError(_unfit(name, hint, text, error)) from None


def text_of(value: Any, annotation: str, name: str) -> str:
    """What to type for a value, so that the same value is read.

    Raises:
        DefinitionError: It is not plain, so that JSON cannot hold it, or of another type than the annotation says.
    """
    hint = hint_of(annotation)
    try:
        texts = [str.__str__(value)] if isinstance(value, str) else []
        texts.append(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise DefinitionError(
            f"The parameter {name!r} of a deployed pipeline takes plain values (texts, numbers, lists, dicts), got {type(value).__name__}. "
            "Store it first, and give its address."
        ) from error
    fault = ""
    for text in texts:
        try:
            found = parse_one(text, hint)
        except Unfit as error:
            fault = _unfit(name, hint, value, error)
            continue
        if _is_same(found, value):
            return text
        shown = repr(value)[:_MOST_SHOWN]
        fault = f"The parameter {name!r} is of type {type_text(hint)}, and {shown} would arrive as {found!r:.{_MOST_SHOWN}}."
    raise DefinitionError(fault)


def _unfit(name: str, hint: Any, value: Any, error: Unfit) -> str:
    return f"The parameter {name!r} is of type {type_text(hint)}, and {repr(value)[:_MOST_SHOWN]} {error}."


def _is_same(found: Any, value: Any) -> bool:
    """Whether what arrives is what was given: a tuple may become a list, and a whole number one with a point."""
    if isinstance(value, dict):
        pairs = zip(found.items(), value.items(), strict=False) if isinstance(found, dict) else ()
        return isinstance(found, dict) and len(found) == len(value) and all(_is_same([*a], [*b]) for a, b in pairs)
    if isinstance(value, (list, tuple)):
        return isinstance(found, list) and len(found) == len(value) and all(map(_is_same, found, value))
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    is_nothing = found != found and value != value  # noqa: PLR0124  so are numbers that are none
    return is_nothing or bool(found == value)


def texts_of(rows: Iterable[Row], values: Mapping[str, Any], where: str) -> dict[str, str]:
    """What to type for each value.

    Raises:
        DefinitionError: A parameter is unknown, missing, not plain, or of another type; all faults of one kind at once.
    """
    known = list(rows)
    check_names(known, values, where)
    texts, faults = _each(_given(known, values), lambda name, annotation: text_of(values[name], annotation, name))
    if faults:
        raise DefinitionError("\n".join(faults))
    return texts


def check_texts(rows: Iterable[Row], texts: Mapping[str, str], where: str) -> None:
    """Refuse what the first pod of a run would refuse.

    Raises:
        DefinitionError: A parameter is unknown, missing, or of another type; all faults of one kind at once.
    """
    known = list(rows)
    check_names(known, texts, where)
    _, faults = _each(_given(known, texts), lambda name, annotation: value_of(texts[name], annotation, name))
    if faults:
        raise DefinitionError("\n".join(faults))


def _given(rows: Iterable[Row], values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names of these values in their order, each with its annotation."""
    annotations = {name: annotation for name, annotation, _ in rows}
    return [(name, annotations[name]) for name in values]


def check_names(rows: Iterable[Row], values: Mapping[str, Any], where: str) -> None:
    """Complain about all that is unknown or missing, at once.

    Raises:
        DefinitionError: Something is.
    """
    known = {name: has_default for name, _, has_default in rows}
    unknown = [name for name in values if name not in known]
    missing = [name for name, has_default in known.items() if not has_default and name not in values]
    if unknown or missing:
        parts = [f"has no parameter {', '.join(map(repr, unknown))}"] if unknown else []
        parts += [f"needs a value for {', '.join(map(repr, missing))}"] if missing else []
        raise DefinitionError(f"{where!r} {' and '.join(parts)}. It takes: {', '.join(known) or 'none'}.")


def check_size(rows: Iterable[Row], texts: Mapping[str, str], where: str) -> None:
    """Refuse more than a pod can be started with.

    Raises:
        DefinitionError: It is more.
    """
    listed = [
        {"name": name, "value": texts.get(name, ""), "description": annotation, "enum": ["true", "false"]}
        for name, annotation, _ in rows
    ]
    text = json.dumps(listed, ensure_ascii=False)
    # Go, which writes it, spells these by their numbers (encoding/json, HTMLEscape).
    size = len(text.encode(errors="surrogatepass")) + 5 * sum(map(text.count, "<>&"))
    if size > MOST_BYTES:
        longest = max(texts, key=lambda name: len(texts[name]))
        raise DefinitionError(
            f"The parameters of {where!r} are {size:,} bytes together, and a pod can be started with {MOST_BYTES:,}. "
            f"The longest is {longest!r}: store it first, and give its address."
        )

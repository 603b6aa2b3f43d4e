"""What stands behind FILE on a command line: the pipeline's parameters, and pyflow's own options.

The rule that keeps them apart: a word belongs to the pipeline if it has a parameter of that name; else to
pyflow, if it has such an option. What stands before FILE is always pyflow's, and what stands behind
``--`` always the pipeline's. So a parameter may be called ``store``, and hides nothing.
"""

from __future__ import annotations

import datetime as dt
import difflib
import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from pyflow.cli.failures import Wrong
from pyflow.typed import FALSE, TRUE, Unfit, allows_none, is_flag, parse, takes_many, type_text

_MAX_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a pipeline, as the command line sees it."""

    name: str
    hint: Any
    kind: Any
    default: Any

    @property
    def option(self) -> str:
        """How it is spelled: ``--learning-rate``."""
        return "--" + self.name.replace("_", "-")

    @property
    def is_required(self) -> bool:
        """Whether a call without it is wrong."""
        return self.default is inspect.Parameter.empty and self.kind not in _STARS

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return is_flag(self.hint)

    @property
    def type_text(self) -> str:
        """Its type, for people."""
        return type_text(self.hint)


_STARS: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(slots=True)
class Words:
    """A command line that was understood."""

    given: dict[str, list[str]] = field(default_factory=dict)
    """What was written for each parameter, each time."""
    own: dict[str, str | None] = field(default_factory=dict)
    """pyflow's own options."""
    is_help: bool = False


def parameters_of(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters of a pipeline's function, with their types."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001  a name in an annotation may exist for type checkers only
        hints = {}
    return [
        Parameter(p.name, _hint(hints.get(p.name, p.annotation), p), p.kind, p.default)
        for p in inspect.signature(function).parameters.values()
    ]


def understand(words: Sequence[str], parameters: Sequence[Parameter], own: Mapping[str, bool]) -> Words:
    """Tell parameters and options apart.

    Args:
        words: What stood behind FILE.
        parameters: The pipeline's.
        own: pyflow's options by name (``store``), and whether each takes a value.

    Raises:
        Wrong: A word is neither.
    """
    found = Words()
    spelled = _spellings(parameters)
    rest = list(words)
    has_own = True
    while rest:
        word = rest.pop(0)
        if word == "--" and has_own:
            has_own = False
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        parameter, is_negative = spelled.get(name.replace("-", "_"), (None, False))
        if not word.startswith("--") or not name:
            raise Wrong(_stray(word, parameters, found.given))
        if parameter is not None:
            text = _value_of(parameter, is_negative, value if equals else None, rest, spelled)
            found.given.setdefault(parameter.name, []).append(text)
        elif has_own and name == "help":
            found.is_help = True
        elif has_own and name in own:
            found.own[name] = (value if equals else _next(f"--{name}", rest)) if own[name] else None
        else:
            _take_unknown(found, name, value if equals else None, rest, parameters, own)
    return found


def values_of(given: Mapping[str, list[str]], parameters: Sequence[Parameter]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the call, positional and by name.

    Raises:
        Wrong: A value does not fit its type, or a required one is missing; all faults at once.
    """
    values, faults = {}, []
    by_name = {p.name: p for p in parameters}
    any_name = next((p for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD), None)
    for name, words in given.items():
        parameter = by_name.get(name) or any_name
        assert parameter is not None
        try:
            values[name] = _parsed(words, parameter)
        except Unfit as error:
            shown = " ".join(words)
            shown = shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 1] + "…"
            option = parameter.option if name in by_name else f"--{name}"
            faults.append(f"{option} is of type {parameter.type_text}, and {shown!r} {error}.")
    missing = [f"{p.option} ({p.type_text})" for p in parameters if p.is_required and p.name not in given]
    if missing:
        faults.append(f"Missing: {', '.join(missing)}.")
    if faults:
        raise Wrong("\n".join(faults))
    return _arranged(values, parameters)


def help_text(parameters: Sequence[Parameter]) -> list[tuple[str, str]]:
    """For each parameter how it is written, and what else is to be known of it."""
    rows = []
    for p in parameters:
        if p.kind is inspect.Parameter.VAR_KEYWORD:
            rows.append(("--NAME VALUE", f"Any other name ({p.type_text})."))
            continue
        spelled = f"{p.option}/--no-{p.option[2:]}" if p.is_flag else f"{p.option} {p.type_text}"
        notes = []
        if p.kind is inspect.Parameter.VAR_POSITIONAL or takes_many(p.hint):
            notes.append("may be repeated")
        notes.append("required" if p.is_required else "" if p.kind in _STARS else f"default: {_short(p.default)}")
        rows.append((spelled, "; ".join(note for note in notes if note)))
    return rows


def _hint(annotation: Any, parameter: inspect.Parameter) -> Any:
    if annotation is not inspect.Parameter.empty and not isinstance(annotation, str):
        return annotation
    default = parameter.default
    # A default says as much as an annotation would, unless it is None.
    if default is inspect.Parameter.empty or default is None:
        return Any
    kind = type(default)
    if kind in {list, tuple, set, frozenset} and default:
        inner = {type(item) for item in default}
        item: Any = inner.pop() if len(inner) == 1 else float if inner == {int, float} else Any
        return types.GenericAlias(kind, (item, ...) if kind is tuple else (item,))
    return kind


def _spellings(parameters: Sequence[Parameter]) -> dict[str, tuple[Parameter, bool]]:
    spelled = {f"no_{p.name}": (p, True) for p in parameters if p.is_flag}
    spelled |= {p.name: (p, False) for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
    return spelled


def _value_of(
    parameter: Parameter,
    is_negative: bool,  # noqa: FBT001
    value: str | None,
    rest: list[str],
    spelled: Mapping[str, object],
) -> str:
    if is_negative:
        if value is not None:
            raise Wrong(f"--no-{parameter.option[2:]} takes no value, got {value!r}.")
        return "false"
    if value is not None:
        return value
    if parameter.is_flag:
        is_value = bool(rest) and (
            rest[0].lower() in (*TRUE, *FALSE) or (rest[0] == "null" and allows_none(parameter.hint))
        )
        return rest.pop(0) if is_value else "true"
    if rest and rest[0].startswith("--") and rest[0][2:].partition("=")[0].replace("-", "_") in {*spelled, ""}:
        raise Wrong(f"{parameter.option} needs a value ({parameter.type_text}).")
    return _next(parameter.option, rest, parameter.type_text)


def _next(option: str, rest: list[str], kind: str = "") -> str:
    if not rest:
        raise Wrong(f"{option} needs a value{f' ({kind})' if kind else ''}.")
    return rest.pop(0)


def _take_unknown(
    found: Words,
    name: str,
    value: str | None,
    rest: list[str],
    parameters: Sequence[Parameter],
    own: Mapping[str, bool],
) -> None:
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        known = [p.option for p in parameters] + [f"--{name}" for name in own]
        near = difflib.get_close_matches(f"--{name}", known, n=1, cutoff=0.6)
        there_are = ", ".join(p.option for p in parameters) or "none"
        hint = f"Did you mean {near[0]}?" if near else f"The pipeline's parameters: {there_are}."
        raise Wrong(f"The pipeline has no parameter --{name}, and pyflow no such option. {hint}")
    found.given.setdefault(name.replace("-", "_"), []).append(_next(f"--{name}", rest) if value is None else value)


def _stray(word: str, parameters: Sequence[Parameter], given: Mapping[str, object]) -> str:
    named = [p for p in parameters if not p.is_flag and p.kind is not inspect.Parameter.VAR_KEYWORD]
    # Behind the first of several values the option is repeated; else one is meant that has no value yet.
    likely = sorted(named, key=lambda p: (p.name not in given or not takes_many(p.hint), p.name in given))
    example = f" Write {likely[0].option} {word}, for example." if likely else ""
    name, equals, value = word.lstrip("-").partition("=")
    if any(name.replace("-", "_") == p.name for p in parameters):
        example = f" Write --{name}{equals}{value}."
    return f"Parameters are given by name, and {word!r} has none.{example}"


def _parsed(words: list[str], parameter: Parameter) -> Any:
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return [parse([word], parameter.hint) for word in words]
    return parse(words[-1:] if parameter.is_flag else words, parameter.hint)


def _arranged(values: dict[str, Any], parameters: Sequence[Parameter]) -> tuple[list[Any], dict[str, Any]]:
    args: list[Any] = []
    star = next((p for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL), None)
    for p in parameters:
        is_positional = p.kind is inspect.Parameter.POSITIONAL_ONLY
        before_star = star is not None and star.name in values and p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        if (is_positional or before_star) and (p.name in values or p.default is not inspect.Parameter.empty):
            args.append(values.pop(p.name, p.default))
    if star is not None:
        args += values.pop(star.name, [])
    return args, values


def _short(value: object) -> str:
    """A default as it would be written on a command line, where that is plain."""
    if isinstance(value, enum.Enum):
        return value.name
    is_plain = isinstance(value, (PurePath, dt.date, dt.time))
    text = (
        "null"
        if value is None
        else str(value).lower()
        if isinstance(value, bool)
        else f"{value.total_seconds():g}s"
        if isinstance(value, dt.timedelta)
        else str(value)
        if is_plain
        else repr(value)
    )
    return text if len(text) <= 40 else text[:39] + "…"

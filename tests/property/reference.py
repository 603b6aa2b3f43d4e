"""What a pipeline means, in a hundred lines: programs as data, evaluated without tracing, packing or scheduling.

A program is a list of statements ``(number, kind, *rest)``. Each statement adds a value to those in reach,
``ints`` or ``lists``; the numbers in ``rest`` pick arguments from them. ``build`` in ``programs.py`` makes a
pipeline's body of the same data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MISSING = object()
"""The value of what failed, or waited for something that did."""


class Items(list):
    """The result of a map: some of its items may be missing."""


@dataclass
class Frame:
    """The body of the pipeline, or of one item of a map."""

    indices: tuple[int, ...] = ()
    is_whole: bool = True


@dataclass
class Reference:
    """Evaluates programs, and keeps ``(number, indices, type, message)`` of each failure."""

    tasks: dict[str, Callable[..., Any]]
    failures: list[tuple[int, tuple[int, ...], str, str]] = field(default_factory=list)

    def run(self, program: list[Any], ints: list[Any], lists: list[Any], calls: list[Any], frame: Frame) -> Any:
        """Evaluate a program; its result is one more than its last int. ``calls`` is what others may wait for."""
        for number, kind, *rest in program[:-1]:
            if kind == "map":
                which, name, _ = rest
                lists.append(
                    self.map(number, pick(lists, which), lambda x, f, n=number, t=name: self.call(n, t, [x], f), frame)
                )
            elif kind == "sub":
                which, other, inner = rest
                fixed = pick(ints, other)
                items = MISSING if fixed is MISSING else pick(lists, which)
                lists.append(
                    self.map(number, items, lambda x, f, p=inner, y=fixed: self.run(p, [x, y], [[1, 2]], [], f), frame)
                )
            elif kind == "inline":
                which, inner = rest
                ints.append(self.run(inner, [pick(ints, which)], list(lists), [], frame))
            elif kind == "when":
                ints.append(self.branch(number, rest, ints, lists, calls, frame))
            elif kind == "after":
                which, other = rest
                is_late = bool(calls) and pick(calls, other) is MISSING
                ints.append(self.call(number, "add", [MISSING if is_late else pick(ints, which), 1], frame))
                calls.append(ints[-1])
            else:
                args = [pick(lists if wants_list else ints, which) for which, wants_list in rest]
                (lists if kind == "numbers" else ints).append(self.call(number, kind, args, frame))
                calls.append((lists if kind == "numbers" else ints)[-1])
        return self.call(program[-1][0], "add", [ints[-1], 1], frame)

    def call(self, number: int, task: str, args: list[Any], frame: Frame) -> Any:
        """What one call of a task gives."""
        if all(arg is not MISSING and not (isinstance(arg, Items) and MISSING in arg) for arg in args):
            try:
                return self.tasks[task](*args)
            except Exception as error:
                self.failures.append((number, frame.indices, type(error).__name__, str(error)))
        frame.is_whole = False
        return MISSING

    def map(self, number: int, items: Any, body: Callable[[Any, Frame], Any], frame: Frame) -> Any:
        """What a map gives: an item is there if nothing in its body is missing."""
        made = Items()
        for index, item in enumerate([] if items is MISSING else items):
            inner = Frame((*frame.indices, index), is_whole=item is not MISSING)
            value = body(item, inner) if inner.is_whole else MISSING
            made.append(value if inner.is_whole else MISSING)
        frame.is_whole = frame.is_whole and items is not MISSING and MISSING not in made
        return MISSING if items is MISSING else made

    def branch(
        self, number: int, rest: list[Any], ints: list[Any], lists: list[Any], calls: list[Any], frame: Frame
    ) -> Any:
        """What a condition with ``first_of`` behind it gives."""
        which, limit, then, otherwise, default, first_of = rest
        value = pick(ints, which)
        if value is MISSING:
            frame.is_whole = False
            return MISSING
        side = then if value > limit else otherwise
        if side is not None:
            return self.run(side, list(ints), list(lists), list(calls), frame)
        if default is None:
            self.failures.append((first_of, frame.indices, "DefinitionError", ""))
            frame.is_whole = False
            return MISSING
        return default


def pick(values: list[Any], which: int) -> Any:
    """The value that a number picks; there is always one."""
    return values[which % len(values)]

"""What code imports, read from it without running it: from source, or from the bytecode of a function.

Relative imports are made absolute by whoever knows the package. Whether a name is a module of the user's
own is for ``origins`` to say.
"""

from __future__ import annotations

import dis
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any, Final

from pyflow.bundle.syntax import children, parse

# Calls that import by a name given as text.
IMPORTING_CALLS: Final = ("import_module", "__import__")
IMPORT_ERRORS: Final = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")

# Finds at least every import statement; lines of text that look like one are harmless.
_STATEMENT: Final = re.compile(
    rb"(?:^|[;:])[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([\w.,\t ]*))(\\?)", re.MULTILINE
)
_CALLS: Final = re.compile(
    rb"\bimport_module\b|\b__import__\b|(?:^|[;:])[ \t]*from[ \t]*\\|\bimport[ \t]*\\", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Import:
    """One import: ``import a.b``, ``from a import b, c`` or ``import_module("a")``."""

    module: str
    """The module named, empty for ``from . import a``."""
    names: tuple[str, ...]
    """What is taken from it; each may be a module in its turn."""
    level: int
    """How many dots stand before the module."""
    line: int
    is_guarded: bool = False
    """True inside a ``try`` that catches the failure: the code can do without."""

    def absolute(self, package: str) -> list[str]:
        """Full names of the modules that this may load, when it stands in a module of that package."""
        base = self.module
        if self.level:
            parents = package.split(".") if package else []
            kept = parents[: max(0, len(parents) - self.level + 1)]
            if not kept:
                return []
            base = ".".join([*kept, *([self.module] if self.module else [])])
        return [base, *(f"{base}.{name}" for name in self.names if name != "*")]


def imports_in_file(path: str) -> tuple[Import, ...]:
    """Every import in a source file, those inside functions too; none when the file is not valid Python."""
    file = Path(path)
    status = file.stat()
    return _imports_in_file(path, status.st_mtime_ns, status.st_size)


def imports_in_source(source: bytes | str) -> tuple[Import, ...]:
    """Every import in some source; none when it is not valid Python, which the importer will say better."""
    tree = parse(source)
    return () if tree is None else tuple(imports_below(tree))


def imports_in_code(code: CodeType) -> tuple[Import, ...]:
    """Every import in the body of a function and of the functions inside it."""
    found = []
    if dis.opmap["IMPORT_NAME"] in code.co_code[::2]:
        loaded: list[object] = [0, None]
        line = code.co_firstlineno
        line_at = dict(dis.findlinestarts(code))
        for step in dis.get_instructions(code):
            line = line_at.get(step.offset) or line
            if step.opname == "IMPORT_NAME":
                level, names = loaded[-2:]
                taken = names if isinstance(names, tuple) else ()
                found.append(Import(str(step.argval), taken, level if isinstance(level, int) else 0, line))
            elif step.opname != "EXTENDED_ARG":
                loaded.append(step.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found.extend(imports_in_code(inner))
    return tuple(found)


def computed_imports(path: str) -> list[int]:
    """The lines of a source file that import a module by a name which only running them tells."""
    file = Path(path)
    source = file.read_bytes() if file.suffix == ".py" and file.is_file() else b""
    tree = parse(source) if any(call.encode() in source for call in IMPORTING_CALLS) else None
    return [] if tree is None else sorted({node.lineno for node in _computed_below(tree)})


def _computed_below(node: Any) -> Iterator[Any]:
    if type(node).__name__ == "Call":
        name = getattr(node.func, "attr", getattr(node.func, "id", None))
        text = node.args[0] if node.args else None
        if name in IMPORTING_CALLS and text is not None and not isinstance(getattr(text, "value", None), str):
            yield node
    for child in children(node):
        yield from _computed_below(child)


def tops_mentioned(source: bytes) -> set[str] | None:
    """First names of all modules that a source may import, found without parsing; None when only parsing can tell.

    A large script without modules of its own costs some microseconds then, where parsing costs milliseconds.
    """
    if _CALLS.search(source):
        return None
    tops: set[str] = set()
    for statement in _STATEMENT.finditer(source):
        base, several, continued = statement.groups()
        if continued or (base or b"").startswith(b"."):
            return None
        names = [base] if base is not None else several.split(b",")
        tops.update(name.split()[0].decode().partition(".")[0] for name in names if name.split())
    return tops


@lru_cache(maxsize=1024)
def _imports_in_file(path: str, _mtime_ns: int, _size_bytes: int) -> tuple[Import, ...]:
    return imports_in_source(Path(path).read_bytes())


def imports_below(node: Any, *, is_guarded: bool = False) -> Iterator[Import]:
    """Every import below a node of syntax."""
    for child in children(node):
        kind = type(child).__name__
        if kind == "Import":
            for alias in child.names:
                yield Import(alias.name, (), 0, child.lineno, is_guarded)
        elif kind == "ImportFrom":
            names = tuple(alias.name for alias in child.names)
            yield Import(child.module or "", names, child.level, child.lineno, is_guarded)
        elif kind == "Call" and (name := _imported_by_call(child)) is not None:
            yield Import(name.lstrip("."), (), len(name) - len(name.lstrip(".")), child.lineno, is_guarded)
        # What stands in a `try` is guarded; handlers, `else` and `finally` are not.
        is_caught = kind in {"Try", "TryStar"} and any(_catches_import_errors(handler) for handler in child.handlers)
        if is_caught:
            yield from imports_below(_Block(child.body), is_guarded=True)
            yield from imports_below(_Block([*child.handlers, *child.orelse, *child.finalbody]), is_guarded=is_guarded)
        else:
            yield from imports_below(child, is_guarded=is_guarded)


@dataclass(frozen=True, slots=True)
class _Block:
    """Statements that stand together, to be looked through like a node of syntax."""

    body: list[Any]
    _fields: tuple[str, ...] = ("body",)


def _catches_import_errors(handler: Any) -> bool:
    if handler.type is None:
        return True
    caught = getattr(handler.type, "elts", [handler.type])
    return any(getattr(error, "id", None) in IMPORT_ERRORS for error in caught)


def _imported_by_call(call: Any) -> str | None:
    name = getattr(call.func, "id", None) or getattr(call.func, "attr", None)
    if name not in IMPORTING_CALLS or not call.args:
        return None
    value = getattr(call.args[0], "value", None)
    return value if isinstance(value, str) and value.strip(".") else None

"""What a fingerprint takes from one function, class or module: its normal form, and what it refers to.

A unit says nothing of the values behind the names, so it is made once for each code object and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from types import CodeType
from typing import Any, Final

from pyflow.bundle.imports import Import, imports_below, imports_in_code
from pyflow.bundle.references import names_used
from pyflow.bundle.syntax import Chain, Source, normal_form, open_names

_VARIADIC: Final = 0x04 | 0x08  # CO_VARARGS and CO_VARKEYWORDS, as in the module inspect


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece of code, apart from the values of its names."""

    digest: str
    """Of its normal form, decorators left out."""
    chains: frozenset[Chain]
    """The names it leaves open."""
    imports: tuple[Import, ...]
    """Imports inside it."""
    decorators: tuple[tuple[str, frozenset[Chain]], ...] = ()
    """Digest of the normal form of each decorator, and its names: some are options and not code."""


@lru_cache(maxsize=8192)
def unit_of_function(code: CodeType, source: Source | None) -> Unit | None:
    """The unit of a function, lambda or method; None when its source is not known, or is no longer what it was."""
    nodes = source.function(code.co_name, code.co_firstlineno) if source is not None else []
    nodes = [node for node in nodes if _argument_names(node) == _argument_names_of(code)]
    return _unit_of(nodes) if nodes else None


@lru_cache(maxsize=8192)
def unit_of_class(qualified_name: str, sources: tuple[Source, ...]) -> Unit | None:
    """The unit of a class, from the first source that defines it; None when none does."""
    for source in sources:
        if nodes := source.classes.get(qualified_name):
            return _unit_of(nodes)
    return None


@lru_cache(maxsize=512)
def unit_of_module(source: Source) -> Unit:
    """The unit of a whole module. What it uses is either its own or imported."""
    return Unit(_sha256(normal_form(source.tree)), frozenset(), tuple(imports_below(source.tree)))


@lru_cache(maxsize=8192)
def unit_of_bytecode(code: CodeType, docstring: str | None) -> Unit:
    """The unit of a function whose source is lost."""
    digest = sha256()
    _write_bytecode(code, docstring, lambda text: digest.update(text.encode("utf-8", "surrogatepass")))
    return Unit(
        digest.hexdigest(),
        frozenset((name,) for name in names_used(code) | set(code.co_freevars)),
        imports_in_code(code),
    )


def _unit_of(nodes: Sequence[Any]) -> Unit:
    """Of several nodes that may be meant (lambdas on one line, a class defined twice) all count."""
    decorators = [decorator for node in nodes for decorator in getattr(node, "decorator_list", ())]
    forms = tuple((_sha256(normal_form(decorator)), open_names(decorator)) for decorator in decorators)
    chains = open_names(*nodes, without_decorators=True)
    text = "".join(normal_form(node) for node in nodes)
    # Most functions import nothing, and their normal form shows it for less than a walk.
    imports = tuple(one for node in nodes for one in imports_below(node)) if "mport" in text else ()
    return Unit(_sha256(text), chains, imports, forms)


def _sha256(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _argument_names(node: Any) -> list[str]:
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [argument.arg for argument in named if argument is not None]


def _argument_names_of(code: CodeType) -> list[str]:
    count = code.co_argcount + code.co_kwonlyargcount + (code.co_flags & _VARIADIC).bit_count()
    return list(code.co_varnames[:count])


def _write_bytecode(code: CodeType, docstring: str | None, write: Callable[[str], object]) -> None:
    write(f"{code.co_code!r}{code.co_names!r}{code.co_varnames!r}{code.co_freevars!r}{code.co_flags}")
    constants = list(code.co_consts)
    if docstring is not None and constants and constants[0] == docstring:
        del constants[0]
    for constant in constants:
        if isinstance(constant, CodeType):
            _write_bytecode(constant, None, write)
        elif isinstance(constant, frozenset):
            write(repr(sorted(map(repr, constant))))  # the order of a set differs between processes
        else:
            write(repr(constant))

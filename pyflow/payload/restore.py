"""The functions that stand inside pickles and rebuild what pickle alone cannot.

Their names are part of the format: a payload of last year calls them. What they need beside their
arguments, the files of a payload and the fillings of its holes, is lent by :func:`lending` while one
payload is being loaded.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from pyflow.errors import IntegrityError
from pyflow.late import late
from pyflow.payload import classes

if TYPE_CHECKING:
    import numpy as np
else:
    np = late("numpy")


class Loan(NamedTuple):
    """What a payload may ask for while it is loaded."""

    files: Sequence[Callable[[], Path]]
    fill: Sequence[object]


_NOTHING: Final = Loan((), ())
_LOAN: ContextVar[Loan] = ContextVar("pyflow_payload_loan", default=_NOTHING)


@contextmanager
def lending(loan: Loan) -> Iterator[None]:
    """Answer ``file`` and ``hole`` from this loan, inside the block and this thread."""
    token = _LOAN.set(loan)
    try:
        yield
    finally:
        _LOAN.reset(token)


def file(index: int) -> Path:
    """The path of a file or folder that travelled with the payload."""
    files = _LOAN.get().files
    if not 0 <= index < len(files):
        raise IntegrityError(f"A payload asks for its file {index}, and brought {len(files)}.")
    return files[index]()


VIEW_FORMATS: Final = frozenset("cbB?hHiIlLqQnNfdP")
"""The formats that a memoryview can be cast to."""


def view(data: bytes | bytearray, form: str, shape: tuple[int, ...]) -> memoryview:
    """A memoryview over bytes of its own."""
    flat: Any = memoryview(data)
    if not data or 0 in shape:
        return flat if form.lstrip("@") == "B" else flat.cast(form)  # type: ignore[no-any-return]
    return flat.cast("B").cast(form, shape)  # type: ignore[no-any-return]


def hole(index: int) -> object:
    """What stands in a place that was left open when the payload was made."""
    fill = _LOAN.get().fill
    if not 0 <= index < len(fill):
        raise IntegrityError(f"A payload asks for the filling of its hole {index}, and {len(fill)} were given.")
    return fill[index]


def exception(kind: type[BaseException], args: tuple[object, ...]) -> BaseException:
    """An exception with these ``args``, without calling a constructor written in Python.

    Its author's ``__init__`` may take other arguments than those it hands to its base, and pickle would
    call it with the latter. The nearest base written in C sets its own fields, as ``OSError`` does.
    """
    made: BaseException = _inherited_from_c(kind, "__new__")(kind, *args)
    _inherited_from_c(kind, "__init__")(made, *args)
    return made


def array(data: memoryview | bytes | bytearray, dtype: str, shape: tuple[int, ...], order: Literal["C", "F"]) -> object:
    """An array on top of a buffer."""
    return np.frombuffer(data, dtype).reshape(shape, order=order) if len(data) else np.empty(shape, dtype, order)


def cached(function: Callable[..., object], parameters: dict[str, Any]) -> Callable[..., object]:
    """A function behind a new and empty ``functools.lru_cache``."""
    made: Callable[..., object] = functools.lru_cache(**parameters)(function)
    classes.note(made)
    return made


def register(made: Any, state: tuple[dict[type, Callable[..., object]], dict[str, object]]) -> None:
    """Give a new dispatcher, a function or a method, its functions by type, and the attributes that its author set."""
    functions, attributes = state
    for kind, function in functions.items():
        made.register(kind, function)
    vars(made).update(attributes)


def cached_property(
    function: Callable[[Any], object], name: str | None, doc: str | None
) -> functools.cached_property[Any]:
    """A ``functools.cached_property`` that keeps its value under a name."""
    made = functools.cached_property(function)
    made.attrname, made.__doc__ = name, doc
    return made


def one_class(name: str, make: Callable[..., type], arguments: tuple[Any, ...]) -> type:
    """A class that travelled by value: the one of here, else a new one."""
    return classes.find(name, make, arguments)


def fill_class(cls: type, state: tuple[str, Callable[[type, Any], object], Any]) -> None:
    """Give a class that travelled by value what it consists of, by the function that came with that."""
    classes.fill(cls, state)


def fill_function(function: object, state: tuple[Callable[[object, Any], object], Any]) -> None:
    """Give a function of a script what it consists of, by the function that came with that."""
    setter, attributes = state
    setter(function, attributes)
    classes.note(function)


def attribute(module: str, path: str) -> object:
    """What is found in a module behind a dotted path: the function inside a decorated one."""
    try:
        return functools.reduce(getattr, path.split("."), importlib.import_module(module))
    except AttributeError as error:  # said as pickle says it of its own references
        raise AttributeError(f"Can't get attribute {path!r} on module {module!r}") from error


def _inherited_from_c(kind: type[BaseException], name: str) -> Callable[..., BaseException]:
    # Names set by C types are slots or built-in methods; those set by Python classes have bytecode.
    for base in kind.__mro__:
        found = vars(base).get(name)
        if found is not None and base.__module__ == "builtins":
            return getattr(base, name)  # type: ignore[no-any-return]
    return getattr(BaseException, name)  # type: ignore[no-any-return]

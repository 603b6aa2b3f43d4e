"""The codec of everything else: cloudpickle's pickler, protocol 5, big buffers outside the stream.

    body = stream, zeros, buffer, zeros, buffer, ... , file, zeros, file ...

Each buffer and file begins at a multiple of 64. The header field ``stream`` is the length of the stream,
``buffers`` lists the out-of-band buffers in the order in which the stream asks for them, ``files`` what
travels for the paths in the value.

What pickle gets wrong is reduced to a call into ``restore``: exceptions whose constructor takes other
arguments than ``args`` or that have slots, functions that a decorator hides in their module, that keep a cache or dispatch
by type, cached properties, paths of existing files, holes.
"""

from __future__ import annotations

import contextlib
import copyreg
import functools
import io
import operator
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FunctionType, MemberDescriptorType
from typing import Any, Final, NamedTuple

import cloudpickle

from pyflow.digest import Buffer
from pyflow.errors import EnvironmentMismatchError, IntegrityError
from pyflow.payload import restore
from pyflow.payload.arrays import reduce_array
from pyflow.payload.classes import know
from pyflow.payload.files import Section, exists, place_section, read_section
from pyflow.payload.header import padding
from pyflow.payload.model import Body, Payload, Request, length_of, make_payload
from pyflow.payload.paths import PATH_TYPE, listed_paths
from pyflow.payload.references import place_behind_decorator, place_of

PROTOCOL: Final = 5
_MIN_BUFFER: Final = 4096
"""Smaller buffers stay in the stream: an entry in the header and up to 63 zeros cost more than the copy."""

_SPAWNED: Final = "__mp_main__"
"""What the author's script is called in a process that multiprocessing has started anew; nobody else can import that, as ``__main__``."""

# Up to Python 3.11 the limit for Python code holds for C code, too: who raises it to 10**6 for an algorithm of
# their own would have the pickler overrun the stack, some 8 MiB, and the process die.
_MAX_RECURSION: Final = 20_000


_CACHED: Final = type(functools.lru_cache(len))

# All functions that dispatch by the type of their argument are one function over other variables.
_DISPATCHER: Final[Any] = functools.singledispatch(len)
_NO_FILE: Final = "<dynamic-code>"


class ValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles one value, collecting what travels beside the stream.

    Attributes:
        buffers: The out-of-band buffers, in order.
        files: What lies at the paths in the value, in order.
    """

    def __init__(self, stream: io.BytesIO, value: object, request: Request) -> None:
        self.buffers: list[memoryview] = []
        if _SPAWNED in sys.modules and _SPAWNED not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(sys.modules[_SPAWNED])
        # Bound to the list, not to self: a circle would keep the buffers alive until the next collection.
        super().__init__(stream, protocol=PROTOCOL, buffer_callback=functools.partial(_stays_in_stream, self.buffers))
        self.files: list[Section] = []
        self._value = value
        self._request = request
        self._listed: set[int] | None = None
        self._reductions: dict[str, tuple[Any, ...]] = {}

    def dump(self, obj: object) -> None:
        """Write the pickle of an object; one that is nested too deeply raises, whatever the recursion limit."""
        limit = sys.getrecursionlimit()
        if limit <= _MAX_RECURSION or sys.version_info >= (3, 12):
            super().dump(obj)
            return
        sys.setrecursionlimit(_MAX_RECURSION)
        try:
            super().dump(obj)
        finally:
            sys.setrecursionlimit(limit)

    def reducer_override(self, obj: Any) -> Any:
        """How to rebuild an object; the pickler asks for all but the simplest built-in types."""
        holes = self._request.holes
        if holes is not None and (index := holes(obj)) is not None:
            return restore.hole, (index,)
        kind = type(obj)
        if kind is PATH_TYPE and self._travels(obj):
            return self._reduce_path(obj)
        if isinstance(obj, io.TextIOBase) and kind is not io.StringIO:
            return _reduce_text_stream(obj)
        if kind in _REDUCERS and (reduced := _REDUCERS[kind](obj)) is not None:
            return reduced
        if kind.__name__ == "ndarray":
            return reduce_array(obj)
        if isinstance(obj, BaseException) and _is_unlike_its_args(kind):
            return _reduce_exception(obj)
        if isinstance(obj, type) and (reduced := _reduce_generic(obj)) is not None:
            return reduced
        return _as_of_here(obj, _with_slots(obj, super().reducer_override(obj)))

    def _travels(self, path: Path) -> bool:
        if self._request.keeps_paths or not exists(path):
            return False
        if self._listed is None:
            self._listed = listed_paths(self._value)
        return id(path) in self._listed

    def _reduce_path(self, path: Path) -> tuple[Any, ...]:
        key = str(path)
        if key not in self._reductions:
            self._reductions[key] = restore.file, (len(self.files),)
            self.files.append(read_section(path, self._request))
        return self._reductions[key]


def encode_pickle(value: object, request: Request, kind: str = "pickle") -> Payload:
    """The pickle of any value that has one.

    Raises:
        Exception: Whatever the pickler, or the user's code that it calls, raises.
    """
    stream = io.BytesIO()
    pickler = ValuePickler(stream, value, request)
    pickler.dump(value)
    parts: list[Buffer] = [stream.getbuffer()]
    fields: dict[str, object] = {"stream": len(parts[0])}
    if pickler.buffers:
        fields["buffers"] = _append_aligned(parts, pickler.buffers)
    if pickler.files:
        spans = _append_aligned(parts, [section.data for section in pickler.files])
        fields["files"] = [[*span, section.describe()] for span, section in zip(spans, pickler.files, strict=True)]
    return make_payload(kind, parts, fields=fields, length=length_of(value))


def encode_simple_pickle(value: object, _request: Request) -> Payload:
    """The pickle of a value of a built-in type without parts: big ints, NaN, strings with surrogates."""
    stream = pickle.dumps(value, PROTOCOL)
    return make_payload("pickle", (stream,), fields={"stream": len(stream)}, length=length_of(value))


def decode_pickle(body: Body) -> object:
    """The value that was pickled; its big buffers are the payload's own bytes.

    Raises:
        IntegrityError: The bytes are no pickle.
        EnvironmentMismatchError: It needs a module, or a name in one, that is not here.
    """
    header = body.header
    stream = body.data[: header.integer("stream", header.body_size)]
    buffers = [body.data[start : start + length] for start, length in header.spans("buffers")]
    loan = restore.Loan(_files_of(body), body.fill)
    try:
        with restore.lending(loan):
            return pickle.loads(stream, buffers=buffers)
    except (pickle.UnpicklingError, EOFError) as error:
        raise IntegrityError(f"A payload of the kind {header.kind!r} is damaged: {error}.") from error
    except ImportError as error:
        raise EnvironmentMismatchError(
            f"A {header.kind} needs a module that cannot be imported here: {error}. "
            "Install it in this environment, name it in the task's packages=, or keep it beside the code of the pipeline."
        ) from error
    except AttributeError as error:
        if not str(error).startswith("Can't get attribute"):
            raise
        raise EnvironmentMismatchError(
            f"A {header.kind} needs a name that is not here: {error}. "
            "The module has changed since, or is another version of it."
        ) from error


def _files_of(body: Body) -> list[Callable[[], Path]]:
    listed = body.header.fields.get("files", [])
    if not isinstance(listed, list) or not all(isinstance(entry, list) and len(entry) == 3 for entry in listed):
        raise IntegrityError(f"The header of a payload lists its files as {listed!r}.")
    return [_place_once(entry, body) for entry in listed]


def _place_once(entry: list[object], body: Body) -> Callable[[], Path]:
    start, length = body.header.span(entry[:2])
    section = Section.described(entry[2], body.data[start : start + length])
    return functools.cache(functools.partial(place_section, section, body.scratch))


def _stays_in_stream(buffers: list[memoryview], buffer: pickle.PickleBuffer) -> bool:
    """True when a buffer is to be copied into the stream; otherwise keep it for the body."""
    raw = buffer.raw()
    if raw.nbytes < _MIN_BUFFER:
        return True
    buffers.append(raw)
    return False


def _append_aligned(parts: list[Buffer], more: Sequence[Buffer]) -> list[list[int]]:
    """Append parts, each at an aligned offset, and say where they are."""
    spans = []
    offset = sum(map(len, parts))
    for part in more:
        if gap := padding(offset):
            parts.append(bytes(gap))
        offset += gap
        spans.append([offset, len(part)])
        parts.append(part)
        offset += len(part)
    return spans


def _is_unlike_its_args(kind: type[BaseException]) -> bool:
    """True when Python code makes exceptions of this class or gives them slots, and nothing says how to pickle them."""
    if kind in copyreg.dispatch_table:
        return False
    made_here = any(isinstance(getattr(kind, name), FunctionType) for name in ("__init__", "__new__"))
    return (made_here or any("__slots__" in vars(base) for base in kind.__mro__)) and not any(
        name in vars(base)
        for base in kind.__mro__
        if base.__module__ != "builtins"
        for name in ("__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")
    )


def _with_slots(obj: Any, reduced: Any) -> Any:
    """What rebuilds a class by value with its slots: cloudpickle 3.1 makes one without, whose objects cannot return."""
    if not (isinstance(obj, type) and isinstance(reduced, tuple) and "__slots__" in obj.__dict__):
        return reduced
    if NamedTuple in obj.__dict__.get("__orig_bases__", ()):
        return reduced  # it is made as a named tuple again, which brings its own
    make, (metaclass, name, bases, namespace, *more), *rest = reduced
    return make, (metaclass, name, bases, {**namespace, "__slots__": obj.__dict__["__slots__"]}, *more), *rest


def _reduce_generic(cls: type) -> Any:
    """``Box[int]`` of pydantic as ``Box`` and ``int``, which give the same class there as here; by value it would be another one."""
    generic = vars(cls).get("__pydantic_generic_metadata__")
    return (operator.getitem, (generic["origin"], generic["args"])) if generic and generic["origin"] else None


def _as_of_here(obj: Any, reduced: Any) -> Any:
    """What rebuilds a class or function by value where that may be there already (see ``classes``)."""
    if not (isinstance(reduced, tuple) and len(reduced) == 6):
        return reduced
    make, arguments, state, items, pairs, setter = reduced
    if isinstance(obj, FunctionType) and obj.__module__ == "__main__":
        return make, arguments, (setter, state), items, pairs, restore.fill_function
    if not isinstance(obj, type):
        return reduced
    # Behind the name of a class come, for classes as for enums, what cloudpickle calls it everywhere, and a place for more.
    name = arguments[-2]
    know(name, obj)
    return restore.one_class, (name, make, arguments), (name, setter, state), items, pairs, restore.fill_class


def _reduce_code(code: CodeType) -> tuple[Any, ...]:
    # cloudpickle writes a name of its own from 3.1.2 on, and the traceback of a task would show no line of it.
    make, arguments, *rest = cloudpickle.CloudPickler.dispatch_table[CodeType](code)
    return make, tuple([code.co_filename if a == _NO_FILE else a for a in arguments]), *rest


def _reduce_view(view: memoryview) -> tuple[Any, ...]:
    """A view as bytes of its own: what it is a view of does not travel."""
    if view.format.lstrip("@") not in restore.VIEW_FORMATS:
        raise TypeError(f"cannot pickle a memoryview of format {view.format!r}: give the array that it is a view of")
    data = view.tobytes()
    return restore.view, (data if view.readonly else bytearray(data), view.format, view.shape)


def _reduce_cached(function: Any) -> Any:
    """A function behind ``functools.cache`` as its module's, where others can import that; else made anew, and empty."""
    value: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split("."):
        value = getattr(value, part, None)
    if value is function and function.__module__ not in {"__main__", "__mp_main__"}:
        return NotImplemented
    return restore.cached, (function.__wrapped__, function.cache_parameters())


def _reduce_function(function: Any) -> tuple[Any, ...] | None:
    """What a decorator hides by its place, what dispatches by type made anew, then given its others; else cloudpickle's way."""
    if (place := place_behind_decorator(function)) is not None:
        return restore.attribute, place
    if function.__code__ is not _DISPATCHER.__code__ or place_of(function) is not None:
        return None
    own = {name: value for name, value in vars(function).items() if name not in vars(_DISPATCHER)}
    state = dict(function.registry), own
    return functools.singledispatch, (function.__wrapped__,), state, None, None, restore.register


def _reduce_dispatching_method(method: functools.singledispatchmethod[Any]) -> tuple[Any, ...]:
    # From Python 3.13 on it remembers methods by weak references.
    own: dict[str, object] = {}
    state = dict(method.dispatcher.registry), own
    return functools.singledispatchmethod, (method.func,), state, None, None, restore.register


def _reduce_cached_property(prop: functools.cached_property[Any]) -> tuple[Any, ...]:
    # Up to Python 3.11 there is a lock in it.
    return restore.cached_property, (prop.func, prop.attrname, prop.__doc__)


def _reduce_text_stream(stream: io.TextIOBase) -> Any:
    # Standard output means the other side's own, also where pytest or a notebook has put something in its place.
    for name in ("stdout", "stderr"):
        if stream is getattr(sys, name):
            return getattr, (sys, name)
    if isinstance(stream, io.TextIOWrapper):
        # cloudpickle would read the file and send what is in it.
        raise TypeError(f"cannot pickle an open file, {stream!r}")
    return NotImplemented


def _reduce_exception(error: BaseException) -> Any:
    reduced = error.__reduce_ex__(PROTOCOL)
    if isinstance(reduced, str) or reduced[0] is not type(error):
        return reduced
    make, args, *rest = reduced
    if type(error).__setstate__ is BaseException.__setstate__ and (slots := _slots_of(error)):
        rest = [{**(rest[0] if rest else {}), **slots}]  # it sets each as an attribute
    return restore.exception, (make, args), *rest


def _slots_of(error: BaseException) -> dict[str, object]:
    """What stands in the slots that Python classes gave an exception."""
    found = {}
    for base in type(error).__mro__:
        for name, slot in vars(base).items() if "__slots__" in vars(base) else ():
            if isinstance(slot, MemberDescriptorType):
                with contextlib.suppress(AttributeError):  # never set
                    found[name] = slot.__get__(error)
    return found


_REDUCERS: Final[dict[type, Callable[[Any], Any]]] = {
    _CACHED: _reduce_cached,
    CodeType: _reduce_code,
    FunctionType: _reduce_function,
    functools.cached_property: _reduce_cached_property,
    functools.singledispatchmethod: _reduce_dispatching_method,
    memoryview: _reduce_view,
}
"""By the type, where cloudpickle's way would lose something."""

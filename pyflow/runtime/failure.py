"""An exception as a record: text first, so that it can be read whether or not it can be rebuilt."""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pyflow.artifacts import keep_payload
from pyflow.bundle import missing_file_advice
from pyflow.contract import ErrorRecord
from pyflow.errors import add_note
from pyflow.jsontext import Json
from pyflow.payload import decode, encode
from pyflow.store import ContentStore

_PACKAGE: Final = str(Path(__file__).parents[1]) + os.sep
_MAX_TEXT: Final = 64 * 1024
_MAX_FRAMES: Final = 200
_MAX_LINKED: Final = 20
"""Causes and contexts of one error, together; what lies further back is in the text alone."""

RUN_HERE: Final = "Let the pipeline run in your own process: my_pipeline.with_options(executor='inprocess')(...), or PYFLOW_EXECUTOR=inprocess."
"""What helps who wants to type to a debugger."""


def record_error(
    error: BaseException, content: ContentStore | None, *, origins: Mapping[str, str], about: bytes = b""
) -> ErrorRecord:
    """What is kept of an exception that a task raised.

    Args:
        error: The exception.
        content: Where its pickle goes when it is large; None: there is none to be.
        origins: Where the author's files lie that run here from the code bundle, by their paths here.
        about: See ``pyflow.store.about_error``; without it nobody rebuilds the error from its pickle.
    """
    if _type_name(type(error)) == "bdb.BdbQuit" and not (sys.stdin and sys.stdin.isatty()):
        add_note(error, f"A debugger began in a process that has no terminal, and ended at once. {RUN_HERE}")
    advice = missing_file_advice(error, (os.path.dirname(path) for path in origins))
    if advice:
        add_note(error, advice)
    told = traceback.TracebackException.from_exception(error, compact=True)
    _clean(told, origins)
    return _record(error, told, content, about, "".join(told.format()), {id(error)})


def _record(
    error: BaseException,
    told: traceback.TracebackException,
    content: ContentStore | None,
    about: bytes,
    text: str,
    seen: set[int],
) -> ErrorRecord:
    hide = content.guard.masked if content is not None else str
    linked: dict[str, Json] = {}
    for how, other, other_told in (
        ("cause", error.__cause__, told.__cause__),
        ("context", None if error.__suppress_context__ else error.__context__, told.__context__),
    ):
        if other is not None and other_told is not None and id(other) not in seen and len(seen) <= _MAX_LINKED:
            seen.add(id(other))
            linked[how] = _record(other, other_told, content, about, "", seen).to_wire()
    return ErrorRecord(
        type=_type_name(type(error)),
        message=hide(_shortened(_message(error))),
        traceback=hide(_shortened(text)),
        frames=[_frame_wire(frame) for frame in told.stack[-_MAX_FRAMES:]],
        pickled=None if content is None else _pickled(error, content, about),
        **linked,
    )


def _frame_wire(frame: traceback.FrameSummary) -> list[Json]:
    place: list[Json] = [frame.filename, frame.lineno, frame.name]
    if sys.version_info >= (3, 11) and frame.colno is not None:
        place += [frame.end_lineno, frame.colno, frame.end_colno]
    return place


def _clean(told: traceback.TracebackException, origins: Mapping[str, str]) -> None:
    """Leave pyflow's own frames out, and name files as the author knows them, in causes as well."""
    frames = [frame for frame in told.stack if not frame.filename.startswith(_PACKAGE)]
    told.stack = traceback.StackSummary.from_list([_named(frame, origins) for frame in frames])
    inner = [told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())]
    for other in inner:
        if other is not None:
            _clean(other, origins)


def _named(frame: traceback.FrameSummary, origins: Mapping[str, str]) -> traceback.FrameSummary:
    """A frame with the file that its author knows, which this machine need not have: so the line is read here."""
    origin = origins.get(frame.filename)
    if origin is None:
        return frame
    position: dict[str, Any] = {}
    if sys.version_info >= (3, 11):
        position = {"end_lineno": frame.end_lineno, "colno": frame.colno, "end_colno": frame.end_colno}
    # Not ``frame.line``, which has lost its indentation: the columns count from the start of the line.
    line = linecache.getline(frame.filename, frame.lineno or 0).rstrip("\n")
    return traceback.FrameSummary(origin, frame.lineno, frame.name, lookup_line=False, line=line, **position)


def _pickled(error: BaseException, content: ContentStore, about: bytes) -> Json:
    """The artifact of the exception; None unless loading it gives an exception of the same class."""
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        return None
    try:
        payload = encode(error, what="the error")
        if payload.size > _MAX_TEXT * 16:
            return None
        copy: Any = decode(memoryview(bytearray(b"".join(payload.parts))))
        if type(copy) is not type(error):
            return None
        return content.trust.seal_json(about, keep_payload(payload, content, what="the error"))
    except Exception:  # noqa: BLE001  pickling runs the author's code, which may raise anything
        # The pickle is an extra: without it the caller gets a TaskError with the same text.
        return None


def _type_name(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ in {"builtins", "__main__"} else f"{cls.__module__}.{cls.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001  an author's __str__ may raise anything
        return f"<{type(failure).__name__} while this message was made>"


def _shortened(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    return f"{text[: _MAX_TEXT // 2]}\n… {len(text) - _MAX_TEXT} characters left out …\n{text[-_MAX_TEXT // 2 :]}"

"""A failure that happened elsewhere, raised here as if it had happened here."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pyflow.artifacts import load
from pyflow.contract import ErrorRecord
from pyflow.errors import (
    DefinitionError,
    LostTaskError,
    OutOfMemoryError,
    PyflowError,
    TaskError,
    TaskTimeoutError,
    add_note,
)
from pyflow.jsontext import Json
from pyflow.late import late
from pyflow.store import ContentStore, advice

if TYPE_CHECKING:
    import ast
else:
    ast = late("ast")

_WHOLE_LINE: Final = 10_000
"""An end column where none is known: Python marks no part of a line when the whole of it is meant."""


def rebuild(error: ErrorRecord, *, node: str, attempt: int, content: ContentStore, about: bytes) -> BaseException:
    """The exception that a record tells of: of the original type where that can be rebuilt, with its causes.

    Its traceback holds the author's frames, as the worker saw them. A record that is not believed stays text.
    """
    if error.pickled is None:
        return _stand_in(error, node, attempt)
    if content.trust.opened_json(about, error.pickled) is None:
        stand_in = TaskError(node, attempt, error.traceback)
        add_note(
            stand_in,
            f"The error itself was not rebuilt: its record is not signed as it must be. {advice(content.blobs.url)}",
        )
        return stand_in
    try:
        made = _made_again(error, content, about)
    except Exception as failure:  # noqa: BLE001  unpickling runs the author's code
        stand_in = TaskError(node, attempt, error.traceback)
        add_note(stand_in, f"The error itself could not be rebuilt here: {type(failure).__name__}: {failure}")
        return stand_in
    if made is None:
        return TaskError(node, attempt, error.traceback)
    if not _link(made, error, content, about) and not isinstance(made, PyflowError):
        add_note(made, "As the worker saw it:\n" + error.traceback)
    return made


def raise_as_it_was(error: BaseException) -> NoReturn:
    """Raise a rebuilt error with the causes that it had, whatever is being handled here."""
    __tracebackhide__ = True  # IPython and pytest leave frames out that say so
    context, is_left_out = error.__context__, error.__suppress_context__
    try:
        raise error
    except BaseException:
        # Raising it has linked it to what is being handled in the caller, if anything is.
        if context is not None or is_left_out:
            error.__context__ = context
        raise


def _made_again(error: ErrorRecord, content: ContentStore, about: bytes) -> BaseException | None:
    """The error itself; None when it was not kept, is not believed, or is none."""
    artifact = None if error.pickled is None else content.trust.opened_json(about, error.pickled)
    made = None if artifact is None else load(artifact, content)
    if not isinstance(made, BaseException):
        return None
    return made.with_traceback(_traceback_of(error.frames)) if error.frames else made


def _link(made: BaseException, error: ErrorRecord, content: ContentStore, about: bytes) -> bool:
    """Give an error the ones that it came from; False when not all of them can be rebuilt."""
    if error.cause is None and error.context is None:
        return not _has_cause(error.traceback)
    found: dict[str, BaseException] = {}
    for how, wire in (("cause", error.cause), ("context", error.context)):
        if wire is None:
            continue
        record = ErrorRecord(**wire)
        try:
            other = _made_again(record, content, about)
        except Exception:  # noqa: BLE001  unpickling runs the author's code; the text tells what it was
            return False
        if other is None or not _link(other, record, content, about):
            return False
        found[how] = other
    made.__context__ = found.get("context")
    if "cause" in found:
        made.__cause__ = found["cause"]
    return True


def _stand_in(error: ErrorRecord, node: str, attempt: int) -> PyflowError:
    if error.type == "pyflow.errors.TaskTimeoutError":
        return TaskTimeoutError(node, attempt, error.message)
    if error.type == "pyflow.errors.OutOfMemoryError":
        return OutOfMemoryError(node, attempt, error.message)
    if error.type == "pyflow.errors.LostTaskError":
        return LostTaskError(node, attempt, error.message)
    if error.type == "pyflow.errors.DefinitionError":
        return DefinitionError(error.message)
    return TaskError(node, attempt, error.traceback)


def _has_cause(traceback: str) -> bool:
    return "\nThe above exception was the direct cause" in traceback or "\nDuring handling of the above" in traceback


def _traceback_of(frames: Iterable[Json]) -> TracebackType | None:
    """A traceback with these frames, from the outside in."""
    found: TracebackType | None = None
    for file, line, function, *position in reversed(list(frames)):
        end_line, column, end_column = position or (line, 0, _WHOLE_LINE)
        made = _frame_at(file, function, line or 1, end_line or line or 1, column, end_column)
        found = TracebackType(found, made.tb_frame, made.tb_lasti, made.tb_lineno)
    return found


class _HereError(Exception):
    """Raised by a function that stands for another one, to get hold of its frame."""


def _frame_at(file: str, function: str, line: int, end_line: int, column: int, end_column: int) -> TracebackType:
    """The traceback of code that raises at this place of a file, which this machine need not have."""
    at: dict[str, Any] = {
        "lineno": line,
        "end_lineno": end_line,
        "col_offset": column,
        "end_col_offset": end_column,
    }
    statement = ast.Raise(exc=ast.Name(id="_HereError", ctx=ast.Load(), **at), cause=None, **at)
    code = compile(ast.Module(body=[statement], type_ignores=[]), file, "exec").replace(co_name=function)
    if sys.version_info >= (3, 11):
        code = code.replace(co_qualname=function)
    found: TracebackType | None = None
    try:
        exec(code, {"__file__": file, "__name__": "", "_HereError": _HereError})  # noqa: S102  made here, of a name
    except _HereError as here:
        found = here.__traceback__ and here.__traceback__.tb_next
    assert found is not None
    return found

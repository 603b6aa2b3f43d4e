"""A failure that happened elsewhere, raised here as if it had happened here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    import tblib
else:
    tblib = late("tblib")


def rebuild(error: ErrorRecord, *, node: str, attempt: int, content: ContentStore, about: bytes) -> BaseException:
    """The exception that a record tells of: of the original type where that can be rebuilt.

    Its traceback holds the author's frames, as the worker saw them. A record that is not believed stays text.
    """
    if error.pickled is None:
        return _stand_in(error, node, attempt)
    artifact = content.trust.opened_json(about, error.pickled)
    if artifact is None:
        stand_in = TaskError(node, attempt, error.traceback)
        add_note(
            stand_in,
            f"The error itself was not rebuilt: its record is not signed as it must be. {advice(content.blobs.url)}",
        )
        return stand_in
    try:
        made = load(artifact, content)
    except Exception as failure:  # noqa: BLE001  unpickling runs the author's code
        stand_in = TaskError(node, attempt, error.traceback)
        add_note(stand_in, f"The error itself could not be rebuilt here: {type(failure).__name__}: {failure}")
        return stand_in
    if not isinstance(made, BaseException):
        return TaskError(node, attempt, error.traceback)
    if error.frames:
        made = made.with_traceback(_traceback_of(error.frames))
    if _has_cause(error.traceback) and not isinstance(made, PyflowError):
        add_note(made, "As the worker saw it:\n" + error.traceback)
    return made


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


def _traceback_of(frames: list[Json]) -> Any:
    """A traceback with these frames, from the outside in."""
    wire: Any = None
    for file, line, function in reversed(frames):
        wire = {
            "tb_frame": {
                "f_code": {"co_filename": file, "co_name": function},
                "f_globals": {"__file__": file, "__name__": ""},
                "f_lineno": line,
            },
            "tb_lineno": line or 0,
            "tb_next": wire,
        }
    return tblib.Traceback.from_dict(wire).as_traceback()

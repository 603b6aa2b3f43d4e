"""Where in the user's files something happens, seen through pyflow's own frames and those of libraries."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, TracebackType
from typing import Final

from pyflow.graph import Location

# pathlib and sysconfig would say these more nicely, and weigh at import.
_OWN_FILES: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120
_STANDARD_LIBRARY: Final = os.path.dirname(os.path.abspath(os.__file__)) + os.sep  # noqa: PTH100, PTH120
_SITES: Final = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
_is_foreign_by_file: Final[dict[str, bool]] = {}

bodies: list[CodeType] = []
"""The code of the bodies that are being traced: the user's own, wherever they are installed."""


class _Pinned(threading.local):
    at: Location | None = None


_pinned = _Pinned()


@contextmanager
def pinned(at: Location) -> Iterator[None]:
    """Say that what happens now belongs to this place: a body that has returned has no running line."""
    around, _pinned.at = _pinned.at, at
    try:
        yield
    finally:
        _pinned.at = around


def here() -> Location:
    """The line of the user's code that is running now; cheap enough to ask at every call of a task."""
    if _pinned.at is not None:
        return _pinned.at
    frame = _nearest()
    if is_foreign(frame.f_code.co_filename):
        frame = _behind_libraries(frame)
    return Location(frame.f_code.co_filename, frame.f_lineno)


def library_here() -> str | None:
    """The library that calls pyflow now, if the user's code does not do so itself: ``pandas``."""
    file = _nearest().f_code.co_filename
    if not is_foreign(file):
        return None
    for site in _SITES:
        _, found, inside = file.rpartition(site)
        if found:
            return inside.partition(os.sep)[0].removesuffix(".py")
    if file.startswith(_STANDARD_LIBRARY):  # a package of several files goes by its own name
        return file[len(_STANDARD_LIBRARY) :].strip(os.sep).partition(os.sep)[0].removesuffix(".py")
    return os.path.basename(file.removeprefix("<frozen ").removesuffix(">")).removesuffix(".py")  # noqa: PTH119 (as above)


def is_foreign(file: str) -> bool:
    """Whether a file belongs to pyflow, to a library or to Python, and so is not the user's."""
    known = _is_foreign_by_file.get(file)
    if known is None:
        # Some modules of the standard library are frozen into the interpreter, and have no file.
        known = file.startswith((_OWN_FILES, _STANDARD_LIBRARY, "<frozen ")) or any(site in file for site in _SITES)
        _is_foreign_by_file[file] = known
    return known


def raised_at(traceback: TracebackType | None) -> Location | None:
    """The last line of the user's code that a traceback goes through."""
    found = None
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if traceback.tb_frame.f_code in bodies or not is_foreign(file):
            found = Location(file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def _nearest() -> FrameType:
    frame = sys._getframe(2)  # noqa: SLF001 (inspect's public way reads source files)
    while frame.f_code.co_filename.startswith(_OWN_FILES) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _behind_libraries(nearest: FrameType) -> FrameType:
    frame: FrameType | None = nearest
    while frame is not None:
        if frame.f_code in bodies or not is_foreign(frame.f_code.co_filename):
            return frame
        frame = frame.f_back
    return nearest

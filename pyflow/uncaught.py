"""What a plain script prints when an error of a pipeline ends it: the author's frames, and all notes.

Python prints an uncaught error by itself. It would show pyflow's own frames, which tell the author nothing, and before
Python 3.11 it leaves out notes (PEP 678), and with them the run, the task and the command for the log.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Final

from pyflow.errors import PyflowError

_PACKAGE: Final = os.path.dirname(__file__) + os.sep  # noqa: PTH120  each worker that loads a decorated module loads this


def tell_plainly() -> None:
    """From now on, print uncaught errors so; whoever has set a hook of their own keeps it."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print


def _print(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    error.__traceback__ = without_own_frames(error, traceback)
    if isinstance(error, PyflowError):
        _tell_causes_shortly(error)
    sys.__excepthook__(kind, error, error.__traceback__)
    if sys.version_info < (3, 11) and sys.stderr is not None:
        sys.stderr.write("".join(f"{note}\n" for note in getattr(error, "__notes__", ())))


def _tell_causes_shortly(error: BaseException) -> None:
    """Leave out where in pyflow the errors were raised that this one came of: it says in the author's terms what they mean."""
    seen: set[int] = set()
    cause = error.__cause__ or error.__context__
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if cause.__traceback__ is not None and _is_own(cause.__traceback__):
            cause.__traceback__ = None
        cause = cause.__cause__ or cause.__context__


def _is_own(traceback: TracebackType) -> bool:
    return traceback.tb_frame.f_code.co_filename.startswith(_PACKAGE)


def without_own_frames(error: BaseException, traceback: TracebackType | None) -> TracebackType | None:
    """A traceback without pyflow's frames; all of it when pyflow itself has gone wrong.

    It has not where the last frame asks to be hidden: that one raises what was raised elsewhere.
    """
    frames: list[TracebackType] = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    own = [_is_own(frame) for frame in frames]
    if not frames:
        return None
    if own[-1] and not isinstance(error, PyflowError) and "__tracebackhide__" not in frames[-1].tb_frame.f_locals:
        return frames[0]
    kept: TracebackType | None = None
    for frame, is_own in zip(reversed(frames), reversed(own), strict=True):
        if not is_own:
            kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept

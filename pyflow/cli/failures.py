"""What went wrong → what is said on standard error, and with which exit code.

=====  ======================================================================
code   whose move it is
=====  ======================================================================
0      nobody's: it worked
1      the author's: a task or the body of a pipeline raised, a run was cancelled or lost
2      the caller's: wrong usage, wrong definition, wrong setting
3      the operator's: the store, the executor or pyflow itself failed
130    Ctrl-C was pressed
=====  ======================================================================
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from pyflow.errors import (
    ConfigError,
    DefinitionError,
    ExecutorError,
    LostRunError,
    LostTaskError,
    PyflowError,
    RunCancelledError,
    StoreError,
    TaskError,
)
from pyflow.terminal import clean

FAILED: Final = 1
WRONG: Final = 2
BROKEN: Final = 3
INTERRUPTED: Final = 130

_PACKAGE: Final = str(Path(__file__).parents[1]) + os.sep


class Wrong(click.ClickException):
    """A command was given something that it cannot use; the message says what would do."""

    exit_code = WRONG

    def show(self, file: Any = None) -> None:  # noqa: ARG002
        """Say it, in one paragraph, without the summary of the command."""
        _say(f"Error: {self.message}")


@contextlib.contextmanager
def hinted(hint: str) -> Iterator[None]:
    """Within the block, add a sentence to what is said of wrong usage."""
    try:
        yield
    except Wrong as error:
        raise Wrong(f"{error.message}\n{hint}") from error


class UserCodeError(Exception):
    """The author's code raised while a file was loaded or a pipeline traced; ``error`` is what it raised."""

    def __init__(self, what: str, error: BaseException) -> None:
        super().__init__(what, error)
        self.what = what
        self.error = error


def exit_code_of(error: BaseException) -> int:
    """The code that a command ends with because of this error."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, (DefinitionError, ConfigError)):
        return WRONG
    if isinstance(error, (TaskError, LostTaskError, LostRunError, RunCancelledError, UserCodeError)):
        return FAILED
    return BROKEN


def exit_code_of_run(error: BaseException) -> int:
    """The code for a run that ended with this error: whatever a task raised is the author's."""
    return BROKEN if isinstance(error, (StoreError, ExecutorError)) else FAILED


def is_of_output(error: BaseException) -> bool:
    """Whether an error came of printing, as on a disk that is full, and of nothing else."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return isinstance(error, OSError) and trace is not None and trace.tb_frame.f_code is click.echo.__code__


def tell(error: BaseException) -> None:
    """Say on standard error what went wrong: one paragraph, with a traceback only where it is the author's."""
    if isinstance(error, UserCodeError):
        _say(user_traceback(error.error) + f"\nError: {error.what}")
    elif isinstance(error, PyflowError):
        _say(f"Error: {error}" + _notes(error))
    else:
        _say(
            "".join(traceback.format_exception(error))
            + "Error: this is an error in pyflow itself. Please report it with the lines above."
        )


def tell_of_run(error: BaseException) -> None:
    """Say with which error a run ended: the author's traceback, as the worker saw it, and pyflow's notes."""
    if isinstance(error, PyflowError):
        tell(error)
    else:
        _say(user_traceback(error))


def user_traceback(error: BaseException) -> str:
    """The traceback of an error without the frames of pyflow and of Python's import system."""
    told = traceback.TracebackException.from_exception(error)
    _strip(told)
    text = "".join(told.format()).rstrip("\n")
    if sys.version_info < (3, 11):
        text += _notes(error)
    return text


def warn_plainly() -> None:
    """Let pyflow's own warnings be a line for the reader, without a place in pyflow's code."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, *rest: Any) -> None:
        if filename.startswith(_PACKAGE) or category.__module__.startswith("pyflow"):
            _say(f"Warning: {message}")
        else:
            before(message, category, filename, *rest)

    warnings.showwarning = show  # type: ignore[assignment]  # the rest goes through as it is


def _strip(told: traceback.TracebackException) -> None:
    frames = [f for f in told.stack if not f.filename.startswith((_PACKAGE, "<frozen importlib", "<frozen runpy"))]
    told.stack = traceback.StackSummary.from_list(frames)
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if other is not None:
            _strip(other)


def _notes(error: BaseException) -> str:
    return "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))


def _say(text: str) -> None:
    click.echo(clean(text), err=True)

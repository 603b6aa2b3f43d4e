"""The errors of pyflow, one tree; the branch says whose move it is.

    PyflowError
    ├── DefinitionError             the author's: a pipeline, task or option is not what it must be
    │   ├── NotSerializableError    a function, argument or result cannot be turned into bytes
    │   └── SecretError             a secret stands in what would be stored
    ├── ConfigError                 the operator's: a setting is wrong
    ├── StoreError                  the operator's: the store refused, or cannot be reached
    │   ├── NotFoundError           what was asked for is not there
    │   ├── StoreUnavailableError   it did not answer in time; trying later may help
    │   └── IntegrityError          bytes are not what was committed
    ├── ExecutorError               the operator's: the place where tasks run cannot do what was asked
    │   ├── EnvironmentMismatchError   bytes were made for another Python or format
    │   ├── AccessDeniedError          it does not let you: no or an expired token, or a right is missing
    │   └── UnreachableError           it did not answer; trying later may help
    ├── TaskError                   the code of a task raised, and the original error cannot be rebuilt
    ├── LostTaskError               the place a task ran in died
    │   └── TaskTimeoutError        it was ended because its time was up
    ├── LostRunError                the process that drove the run died
    └── RunCancelledError           somebody asked the run to end

Every error carries its fields in ``args``, so that it pickles.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Final

_PACKAGE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep  # noqa: PTH100, PTH120  pathlib weighs at import

__all__ = [
    "AccessDeniedError",
    "ConfigError",
    "DefinitionError",
    "EnvironmentMismatchError",
    "ExecutorError",
    "IntegrityError",
    "LostRunError",
    "LostTaskError",
    "NotFoundError",
    "NotSerializableError",
    "OutOfMemoryError",
    "PyflowError",
    "RunCancelledError",
    "SecretError",
    "StoreError",
    "StoreUnavailableError",
    "TaskError",
    "TaskTimeoutError",
    "UnreachableError",
    "UnsupportedOptionWarning",
    "add_note",
    "warn_author",
]


class PyflowError(Exception):
    """Any error that pyflow itself raises."""


class DefinitionError(PyflowError):
    """A pipeline, a task or an option is not what it must be; the author can mend it."""


class NotSerializableError(DefinitionError):
    """A function, argument or result cannot be turned into bytes; the message names the part."""


class SecretError(DefinitionError):
    """The value of a secret stands in what would be stored; the message names the variable, and not its value."""


class ConfigError(PyflowError):
    """A setting is unknown or has a wrong value; the message says where it came from."""


class StoreError(PyflowError):
    """The store refused what was asked; the message says what and why."""


class NotFoundError(StoreError):
    """The store does not hold what was asked for."""


class StoreUnavailableError(StoreError):
    """The store did not answer in time; the same request may succeed later."""


class IntegrityError(StoreError):
    """Bytes in the store are not the ones that were committed. Nothing of them was used."""


class ExecutorError(PyflowError):
    """The place where tasks run cannot do what the pipeline asks for."""


class EnvironmentMismatchError(ExecutorError):
    """Bytes were made by another Python minor or a newer format, and must not be loaded here."""


class AccessDeniedError(ExecutorError):
    """The place where tasks run does not let you: the token is missing or has expired, or a right is."""


class UnreachableError(ExecutorError):
    """The place where tasks run did not answer; the same request may succeed later."""


class TaskError(PyflowError):
    """The code of a task raised, and its error cannot be rebuilt here.

    Attributes:
        node: The node whose task raised, with its map index: ``fit[3]``.
        attempt: Which attempt it was, counted from 1.
        remote_traceback: The traceback as text, as the worker saw it.
    """

    def __init__(self, node: str, attempt: int, remote_traceback: str) -> None:
        super().__init__(node, attempt, remote_traceback)
        self.node = node
        self.attempt = attempt
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        return f"Task {self.node!r} failed on attempt {self.attempt}.\n{self.remote_traceback}"


class LostTaskError(PyflowError):
    """The worker that ran a task ended before the task did.

    Attributes:
        node: The node that was running.
        attempt: Which attempt it was, counted from 1.
        reason: What ended the worker, and the likely cause.
    """

    def __init__(self, node: str, attempt: int, reason: str) -> None:
        super().__init__(node, attempt, reason)
        self.node = node
        self.attempt = attempt
        self.reason = reason

    def __str__(self) -> str:
        return f"Task {self.node!r} was lost on attempt {self.attempt}: {self.reason}"


class TaskTimeoutError(LostTaskError):
    """A task was ended because it ran longer than its ``timeout``."""

    def __str__(self) -> str:
        return f"Task {self.node!r} was ended on attempt {self.attempt}: {self.reason}"


class OutOfMemoryError(LostTaskError):
    """A task was ended because it needed more memory than its place gives it."""


class LostRunError(PyflowError):
    """The process that drove a run ended before the run had a result.

    Attributes:
        run_id: The run.
        reason: What is known of its end.
        command: What to type to see what is kept.
    """

    def __init__(self, run_id: str, reason: str, command: str) -> None:
        super().__init__(run_id, reason, command)
        self.run_id = run_id
        self.reason = reason
        self.command = command

    def __str__(self) -> str:
        return (
            f"Run {self.run_id} was lost: {self.reason}. What had finished is kept: {self.command}\n"
            "For a result, run the pipeline again."
        )


class RunCancelledError(PyflowError):
    """The run was cancelled before it had a result.

    Attributes:
        run_id: The run.
        command: What to type to see what is kept.
    """

    def __init__(self, run_id: str, command: str = "") -> None:
        super().__init__(run_id, command)
        self.run_id = run_id
        self.command = command or f"pyflow show {run_id}"

    def __str__(self) -> str:
        return f"Run {self.run_id} was cancelled. What had finished is kept: {self.command}"


class UnsupportedOptionWarning(UserWarning):
    """An option has no meaning on the chosen executor, and leaving it out is harmless."""


def warn_author(message: str, category: type[Warning]) -> None:
    """Warn about the author's code, at the line of it that runs now, whatever of pyflow lies in between."""
    frame = sys._getframe(1)  # noqa: SLF001  the one way to look for a caller
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, registry=registry)


def add_note(error: BaseException, note: str) -> None:
    """Add a line below an error's message, on every supported Python.

    ``BaseException.add_note`` came with Python 3.11 (PEP 678); before it the list is made by hand,
    and what prints tracebacks there must look for it (``pyflow.uncaught``).
    """
    if not isinstance(getattr(error, "__notes__", []), list):
        return  # the author's own attribute of that name: to Python they are no notes either
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:
        error.__notes__ = [*getattr(error, "__notes__", ()), note]  # type: ignore[attr-defined]

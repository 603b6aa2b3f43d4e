"""Named points at which a test lets a process die, wait or fail. Without a test, a point costs one look at a dictionary.

A process takes ``PYFLOW_TEST_FAILPOINT`` when it starts: ``NAME:NTH:ACTION``, and does the action when it comes to the
point for the nth time:

    commit.before:1:kill          kill -9 of the process itself
    commit.before:2:wait=PATH     make PATH.waiting, and go on when PATH exists
    commit.before:1:raise         raise an OSError (EIO)

The points stand before and after each step of the commit protocol: ``POINTS`` lists them.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from typing import Final

VARIABLE: Final = "PYFLOW_TEST_FAILPOINT"

ATTEMPT: Final = (
    "look.before", "look.after", "load.before", "load.after", "call.before", "call.after",
    "log.before", "log.after", "commit.before", "commit.after", "told.before", "told.after",
)  # fmt: skip
"""Points that an attempt at a task comes to, in their order."""

BLOB: Final = ("blob.before", "chunks.after", "blob.after")
"""Points around a result that is kept apart from its commit."""

FOLDER: Final = ("aside.after", "rename.after", "append.before", "append.after")
"""Points within a folder store's own writes."""

ENDING: Final = ("events.before", "events.after", "summary.before", "summary.after")
"""Points that whoever drives a run comes to."""

COLLECTION: Final = ("gc.marked", "gc.condemned", "gc.deleted", "gc.released")
"""Points of ``pyflow gc``."""

COPY: Final = ("copy.blobs", "copy.commits", "copy.logs", "copy.record")
"""Points of ``pyflow store copy``, each behind a step."""

ENVIRONMENT: Final = ("environment.fetch", "environment.unpack", "environment.rename")
"""Points before the steps in which packages come to a host."""

POINTS: Final = (*ATTEMPT, *BLOB, *FOLDER, *ENDING, *COLLECTION, *COPY, *ENVIRONMENT)

_POLL_S: Final = 0.002

_armed: dict[str, list[str]] = {}


def reached(name: str) -> None:
    """This process has come to a point."""
    if _armed:
        _act(name)


def arm(text: str) -> None:
    """Be ready to act at a point: ``NAME:NTH:ACTION``, several of them with commas between; nothing for an empty text.

    Raises:
        ValueError: There is no such point.
    """
    _armed.clear()
    for one in filter(None, text.split(",")):
        name, nth, action = one.split(":", 2)
        if name not in POINTS:
            raise ValueError(f"There is no fail point {name!r}.")
        _armed[name] = [nth, action]


def _act(name: str) -> None:
    found = _armed.get(name)
    if found is None:
        return
    found[0] = str(int(found[0]) - 1)
    if found[0] != "0":
        return
    action, _, detail = found[1].partition("=")
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "wait":
        os.close(os.open(f"{detail}.waiting", os.O_CREAT | os.O_WRONLY, 0o600))
        while not os.path.exists(detail):  # noqa: PTH110  pathlib weighs at import
            time.sleep(_POLL_S)
    else:
        raise OSError(errno.EIO, f"fail point {name}")


arm(os.environ.get(VARIABLE, ""))

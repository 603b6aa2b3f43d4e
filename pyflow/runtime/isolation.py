"""What one task changes in its process does not reach the next one."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time

# What ``signal.getsignal`` wraps, for twenty times its cost.
from _signal import getsignal  # type: ignore[import-not-found]
from collections.abc import Mapping
from typing import Final

from pyflow.store import environment

_BORROWED: Final[list[tuple[int, str]]] = []
"""For each task that runs in this process, a run in a task behind the task: its thread, and what the folder was before."""


_SIGNALS: Final = tuple(
    int(getattr(signal, f"SIG{name}")) for name in ["INT", "TERM", "ALRM", "CHLD", "PIPE", "HUP", "USR1", "USR2"]
)


class isolated:  # noqa: N801  a block, as ``contextlib.suppress`` is; one that is a generator takes three times as long
    """Within the block the environment has ``env`` on top, but not for stores; afterwards what a task can set for its process is as before.

    That is environment, folder and path, the time zone, the mask for new files, the recursion limit, whether garbage is collected,
    and what signals do.
    """

    __slots__ = (
        "_alarm_s",
        "_collects",
        "_environment",
        "_folder",
        "_handlers",
        "_kept",
        "_limit",
        "_mask",
        "_path",
        "_with",
    )

    def __init__(self, env: Mapping[str, str]) -> None:
        self._with = env

    def __enter__(self) -> None:
        # First what may fail, so that nothing is left changed then.
        self._folder = os.getcwd()
        self._environment, self._path = _snapshot(), sys.path.copy()
        self._limit, self._collects = sys.getrecursionlimit(), gc.isenabled()
        self._handlers, self._alarm_s = [*map(getsignal, _SIGNALS)], signal.getitimer(signal.ITIMER_REAL)[0]
        # It can be read in this way alone, and no file that another thread makes meanwhile is to be open to all.
        self._mask = os.umask(0o077)
        os.umask(self._mask)
        # Of one block in another the outer counts: what the inner finds is a task's already.
        self._kept = environment.kept
        environment.kept = self._environment if self._kept is None else self._kept
        _BORROWED.append((threading.get_ident(), self._folder))
        if self._with:
            os.environ.update(self._with)
            if "TZ" in self._with:
                time.tzset()

    def __exit__(self, *_raised: object) -> None:
        _BORROWED.pop()
        environment.kept = self._kept
        if sys.path != self._path:
            sys.path[:] = self._path
        now = _snapshot()
        if now != self._environment:
            _restore(self._environment)
            if now.get(b"TZ") != self._environment.get(b"TZ"):
                time.tzset()
        os.umask(self._mask)
        if sys.getrecursionlimit() != self._limit:
            sys.setrecursionlimit(self._limit)
        if gc.isenabled() != self._collects:
            (gc.enable if self._collects else gc.disable)()
        self._restore_signals()
        _return_to(self._folder)

    def _restore_signals(self) -> None:
        if not self._alarm_s and signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, 0)  # it would ring in a later task
        is_changed = [*map(getsignal, _SIGNALS)] != self._handlers
        if not is_changed or threading.current_thread() is not threading.main_thread():
            return
        for number, handler in zip(_SIGNALS, self._handlers, strict=True):
            if handler is not None:  # one that C code has set cannot be set from here
                signal.signal(number, handler)


def surroundings() -> tuple[str, dict[str, str]]:
    """Working folder and environment of this process, but for what a task has made of them that runs in another thread."""
    before = environment.kept
    for thread, folder in _BORROWED[:1]:
        if before is not None and thread != threading.get_ident():
            return folder, {os.fsdecode(name): os.fsdecode(value) for name, value in before.items()}
    return os.getcwd(), dict(os.environ)


def _snapshot() -> dict[bytes, bytes]:
    # ``dict(os.environ)`` decodes every variable: 30 µs for 40 of them. The mapping below it, of bytes on
    # POSIX, is private, but has had its name since Python 3.0; without it the slow way does.
    data = getattr(os.environ, "_data", None)
    return data.copy() if isinstance(data, dict) else dict(os.environb)


def _restore(environment: dict[bytes, bytes]) -> None:
    os.environb.clear()
    os.environb.update(environment)


def _return_to(folder: str) -> None:
    try:
        has_moved = os.getcwd() != folder
    except FileNotFoundError:
        # The task removed the folder that it stood in.
        has_moved = True
    if has_moved:
        os.chdir(folder)

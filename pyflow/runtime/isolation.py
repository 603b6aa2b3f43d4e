"""What one task changes in its process does not reach the next one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import Final

_BORROWED: Final[list[tuple[int, str, Mapping[bytes, bytes]]]] = []
"""For each task that runs in this process, a run in a task behind the task: its thread, and what folder and environment were before."""

from pyflow.store import environment


class isolated:  # noqa: N801  a block, as ``contextlib.suppress`` is; one that is a generator takes three times as long
    """Within the block the environment has ``env`` on top, but not for stores; afterwards environment, folder and path are as before."""

    __slots__ = ("_environment", "_folder", "_kept", "_path", "_with")

    def __init__(self, env: Mapping[str, str]) -> None:
        self._with = env

    def __enter__(self) -> None:
        self._environment = _snapshot()
        # Of one block in another the outer counts: what the inner finds is a task's already.
        self._kept = environment.kept
        environment.kept = self._environment if self._kept is None else self._kept
        self._folder = os.getcwd()
        self._path = sys.path.copy()
        _BORROWED.append((threading.get_ident(), self._folder, self._environment))
        if self._with:
            os.environ.update(self._with)

    def __exit__(self, *_raised: object) -> None:
        _BORROWED.pop()
        if sys.path != self._path:
            sys.path[:] = self._path
        if _snapshot() != self._environment:
            _restore(self._environment)
        environment.kept = self._kept
        _return_to(self._folder)


def surroundings() -> tuple[str, dict[str, str]]:
    """Working folder and environment of this process, but for what a task has made of them that runs in another thread."""
    if _BORROWED and _BORROWED[0][0] != threading.get_ident():
        _, folder, environment = _BORROWED[0]
        return folder, {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}
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

"""Locks between the processes of a host: one file each for those who unpack an environment, and for those who use one.

A lock file may be removed by whoever holds it alone, so who gets a lock looks whether its file is still the one that others would open.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_TAKEN: Final = frozenset({errno.EWOULDBLOCK, errno.EACCES})
_held: dict[str, int] = {}
"""The files that this process holds open until it ends, by the environments that it uses."""


class NoLocksError(OSError):
    """The file system has no locks, or the file cannot be made."""


def unpacking_lock(place: Path) -> str:
    """The file that whoever unpacks an environment holds alone."""
    return f"{place}.lock"


def use_lock(place: Path) -> str:
    """The file that all who use an environment hold together; it was touched when the last of them began."""
    return f"{place}.use"


@contextlib.contextmanager
def locked(path: str, *, waits: bool = True) -> Iterator[bool]:
    """Hold a lock alone; False when others hold it and nobody is to wait.

    Raises:
        NoLocksError: There are no locks here.
    """
    fd = _take(path, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    try:
        yield fd is not None
    finally:
        if fd is not None:
            os.close(fd)


def use(place: Path) -> None:
    """Keep others from removing an environment for as long as this process lives, where there are locks."""
    path = use_lock(place)
    if path in _held:
        return
    # Where nothing can be written, as in a container that got it from its host, it is the host that keeps it.
    with contextlib.suppress(NoLocksError):
        fd = _take(path, fcntl.LOCK_SH)
        assert fd is not None
        _held[path] = fd
        with contextlib.suppress(OSError):
            os.utime(fd)


def _take(path: str, how: int) -> int | None:
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NoLocksError(*error.args) from error
        try:
            fcntl.flock(fd, how)
            if _is_file(path, fd):
                return fd
        except OSError as error:
            os.close(fd)
            if error.errno in _TAKEN:
                return None
            raise NoLocksError(*error.args) from error
        os.close(fd)


def _is_file(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))  # noqa: PTH116
    except FileNotFoundError:
        return False

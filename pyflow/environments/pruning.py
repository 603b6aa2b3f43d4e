"""Which environments this host has unpacked, and how those go that nobody uses: they can be fetched again from the store."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from pyflow.environments.cache import environments_folder
from pyflow.environments.locks import NoLocksError, locked, unpacking_lock, use_lock
from pyflow.environments.unpack import COMPLETE, PACKAGES_SUFFIX, TREE

_DAY_S: Final = 86_400.0
_ASIDE: Final = ".new-"
_BUILDING: Final = "building-"
_BESIDE: Final = ("runtime", "checked")
"""What lies beside the environments and is made again when it is missing: pyflow's own runtime, and marks of code that was looked at."""
_BESIDE_STAYS_S: Final = 30 * _DAY_S
"""For no lock says who uses a runtime, and no task takes so long."""


@dataclass(frozen=True, slots=True)
class OnHost:
    """An environment that lies on this host, or what is left of one."""

    digest: str
    """Of its archive; of what a killed process left behind, the name of its folder."""
    path: Path
    packages: tuple[str, ...]
    """What is installed in it, as ``name-version``."""
    size_bytes: int
    used_at: float
    """When a process last began to use it, in seconds since 1970."""
    state: Literal["unused", "in use", "removed", "no locks"] = "unused"
    is_whole: bool = True
    """Not something that a killed process left behind."""


def on_host(folder: Path | None = None) -> list[OnHost]:
    """The environments that this host has unpacked, the last used first."""
    folder = folder or environments_folder()
    found = [_look(path) for path in folder.iterdir() if (path / COMPLETE).is_file() and _ASIDE not in path.name]
    return sorted(found, key=lambda one: -one.used_at)


def prune(unused_s: float, now: float, folder: Path | None = None, *, is_meant: bool = False) -> list[OnHost]:
    """Remove the environments that nobody has begun to use for some time, and that nobody uses now.

    Args:
        unused_s: For how many seconds.
        now: The time.
        folder: Where they lie; None: ``environments_folder()``.
        is_meant: Without it nothing is removed, and the answer says what would be.

    Returns:
        Those that were old enough, each with what came of it: ``removed`` is what went, or would have.
    """
    folder = folder or environments_folder()
    told = [_pruned(one, is_meant=is_meant) for one in on_host(folder) if now - one.used_at >= unused_s]
    for left in _left_behind(folder, now - max(unused_s, _DAY_S)):
        if is_meant:
            shutil.rmtree(left.path, ignore_errors=True)
        told.append(replace(left, state="removed"))
    return told


def prune_beside(unused_s: float, now: float, folder: Path | None = None, *, is_meant: bool = False) -> tuple[int, int]:
    """Remove what lies beside the environments, which pyflow makes again by itself, and was not used for long.

    Args:
        unused_s: For how many seconds; less than 30 days count as 30 days.
        now: The time.
        folder: Where the environments lie; None: ``environments_folder()``.
        is_meant: Without it nothing is removed.

    Returns:
        How many files and folders went, or would have, and how many bytes they have.
    """
    folder = folder or environments_folder()
    count = size_bytes = 0
    for path in (path for name in _BESIDE for path in folder.with_name(name).glob("*")):
        if now - path.stat().st_mtime < max(unused_s, _BESIDE_STAYS_S):
            continue
        count += 1
        size_bytes += _size_of(path) if path.is_dir() else path.stat().st_size
        if is_meant:
            # Under another name first, so that nobody finds half of it.
            aside = path.rename(path.with_name(f"{path.name}{_ASIDE}{os.urandom(4).hex()}"))
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()
    return count, size_bytes


def _pruned(one: OnHost, *, is_meant: bool) -> OnHost:
    place = one.path
    aside = place.with_name(f"{place.name}{_ASIDE}{os.urandom(4).hex()}")
    try:
        with locked(unpacking_lock(place), waits=False) as is_alone, locked(use_lock(place), waits=False) as is_unused:
            if not (is_alone and is_unused):
                return replace(one, state="in use")
            if is_meant:
                # Who comes now waits for the lock, and then finds nothing under this name.
                place.rename(aside)
                for lock in (use_lock(place), unpacking_lock(place)):
                    os.unlink(lock)  # noqa: PTH108
    except NoLocksError:
        return replace(one, state="no locks")
    if is_meant:
        shutil.rmtree(aside, ignore_errors=True)
    return replace(one, state="removed")


def _left_behind(folder: Path, before: float) -> Iterator[OnHost]:
    """What processes left that were killed while they built, unpacked or removed an environment."""
    for path in folder.iterdir():
        if (_ASIDE in path.name or path.name.startswith(_BUILDING)) and path.is_dir():
            with contextlib.suppress(OSError):
                used_at = path.stat().st_mtime
                if used_at <= before:
                    yield OnHost(path.name, path, (), _size_of(path), used_at, is_whole=False)


def _look(path: Path) -> OnHost:
    try:
        used_at = os.stat(use_lock(path)).st_mtime  # noqa: PTH116
    except OSError:
        used_at = (path / COMPLETE).stat().st_mtime
    try:
        top = json.loads((path / COMPLETE).read_bytes())["top"]
        packages = [name.removesuffix(PACKAGES_SUFFIX) for name in top if name.endswith(PACKAGES_SUFFIX)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        packages = []
    return OnHost(path.name, path, tuple(sorted(packages)), _size_of(path / TREE), used_at)


def _size_of(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
    return total

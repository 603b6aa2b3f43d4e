"""Store → this host: an environment is fetched, verified and unpacked once, however many tasks ask at the same time.

It is unpacked aside and then renamed, so a folder under an environment's name is a whole one, whatever was killed
meanwhile. A lock lets the others wait for the first instead of doing the same work; where the file system has no
locks they do it, and the rename lets one of them win.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyflow.environments.archive import read_contents, unpack_archive
from pyflow.environments.cache import environments_folder
from pyflow.environments.locks import NoLocksError, locked, unpacking_lock, use
from pyflow.environments.target import PYTHON_MINOR
from pyflow.errors import EnvironmentMismatchError, ExecutorError, IntegrityError
from pyflow.failpoints import reached
from pyflow.jsontext import Json
from pyflow.late import late
from pyflow.store import ContentStore

if TYPE_CHECKING:
    import shutil
else:
    shutil = late("shutil")

TREE: Final = "tree"
COMPLETE: Final = "complete"
PACKAGES_SUFFIX: Final = ".dist-info"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def unpacked(environment: Json, content: ContentStore, folder: Path | None = None) -> Path:
    """The folder with the packages of an environment, on this host; put it on ``sys.path``.

    It stays there for as long as this process lives, see ``pruning``.

    Args:
        environment: What ``PackedOptions.environment`` says: digest, size, python, platform.
        content: The store that holds the archive.
        folder: Where environments lie; None: ``environments_folder()``.

    Raises:
        EnvironmentMismatchError: It was made for another Python or system.
        IntegrityError: The archive is not the one that was kept, or not one of pyflow's.
        ExecutorError: The disk is full, or the folder cannot be written.
    """
    _check_target(environment)
    place = (folder or environments_folder()) / str(environment["digest"])
    use(place)
    if not _is_whole(place):
        try:
            _unpack_once(environment, content, place)
        except OSError as error:
            raise _disk_error(error, environment, place) from error
    return place / TREE


def is_unpacked(environment: Json, folder: Path | None = None) -> bool:
    """Whether this host has an environment already."""
    return _is_whole((folder or environments_folder()) / environment["digest"])


def _check_target(environment: Json) -> None:
    system = str(environment.get("platform", "")).partition("/")[0]
    if environment.get("python", PYTHON_MINOR) != PYTHON_MINOR or (system and system != sys.platform):
        raise EnvironmentMismatchError(
            f"The packages of the task are for Python {environment.get('python')} on {environment.get('platform')}, and this "
            f"is Python {PYTHON_MINOR} on {sys.platform}. Give python= and platform= as the image has them."
        )


def _is_whole(place: Path) -> bool:
    """Whether an environment is there with all that lies at its top: cleaners of old files remove some and leave others."""
    try:
        names = json.loads((place / COMPLETE).read_bytes())["top"]
        return bool(set(names) <= set(os.listdir(place / TREE)))  # noqa: PTH208
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _unpack_once(environment: Json, content: ContentStore, place: Path) -> None:
    """Unpack it while no other process does, where there are locks."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(NoLocksError):
            stack.enter_context(locked(unpacking_lock(place)))
            if _is_whole(place):
                return
            _remove_leftovers(place)
        _unpack(environment, content, place)


def _unpack(environment: Json, content: ContentStore, place: Path) -> None:
    aside = place.with_name(f"{place.name}.new-{os.getpid()}-{os.urandom(4).hex()}")
    aside.mkdir(mode=0o700)
    try:
        archive = aside / "archive"
        reached("environment.fetch")
        content.copy_blob(environment["digest"], environment["size"], archive)
        contents = read_contents(archive)
        if contents.size_bytes != environment.get("unpacked", contents.size_bytes):
            raise IntegrityError(
                f"The environment archive {environment['digest']} says that it unpacks to {contents.size_bytes} bytes, and the program "
                f"that asks for it says {environment['unpacked']}. Nothing of it was unpacked."
            )
        (aside / TREE).mkdir()
        reached("environment.unpack")
        unpack_archive(archive, contents, aside / TREE)
        archive.unlink()
        top = sorted({member.path.partition("/")[0] for member in contents.members})
        (aside / COMPLETE).write_text(json.dumps({"top": top, "size": contents.size_bytes}))
        reached("environment.rename")
        _put_in_place(aside, place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _put_in_place(aside: Path, place: Path) -> None:
    for _ in range(3):
        try:
            aside.rename(place)
            return
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
        if _is_whole(place):
            return  # another was first
        with contextlib.suppress(FileNotFoundError):
            place.rename(aside.with_name(aside.name + f"-damaged-{os.urandom(4).hex()}"))
    raise IntegrityError(f"The folder '{place}' is damaged, and comes back whenever it is replaced. Remove it.")


def _remove_leftovers(place: Path) -> None:
    """Remove what was begun by processes that were killed: whoever holds the lock is the only one at work."""
    for left in place.parent.glob(f"{place.name}.new-*"):
        shutil.rmtree(left, ignore_errors=True)


def _disk_error(error: OSError, environment: Json, place: Path) -> ExecutorError:
    size_mib = environment.get("unpacked", environment["size"]) / 2**20
    if error.errno in _FULL:
        free_mib = shutil.disk_usage(place.parent).free / 2**20
        return ExecutorError(
            f"The packages of the task take {size_mib:.0f} MiB, and the disk with '{place.parent}' has {free_mib:.0f} MiB left. "
            "Nothing is left behind. Make room there, or let XDG_CACHE_HOME name a folder on another disk."
        )
    return ExecutorError(
        f"The packages of the task cannot be unpacked in '{place.parent}': {error}. "
        "Let XDG_CACHE_HOME name a folder that can be written to."
    )

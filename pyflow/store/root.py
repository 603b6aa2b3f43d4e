"""The folder that a store lives in: how it is made, and which layout it has."""

from __future__ import annotations

import json
import os
from typing import Final

from pyflow.errors import StoreError
from pyflow.store.disk import FILE_MODE, make_folder
from pyflow.store.keys import LAYOUT_VERSION, MARKER

TEMPORARY: Final = ".tmp"
_IGNORE: Final = ".gitignore"

# Bytes of a path that need no quoting in a URL (RFC 3986, section 3.3: pchar, less what reads badly).
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/+=@,:")


def file_url(path: str) -> str:
    """The ``file://`` URL of an absolute path."""
    if _PLAIN.issuperset(path):
        return f"file://{path}"
    # Most paths need no quoting, and the import costs several milliseconds.
    from urllib.parse import quote

    return f"file://{quote(os.fsencode(path))}"


class StoreRoot:
    """A store's folder, which is made when something is first written."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._is_known = False

    def check(self) -> None:
        """Make sure that the store, if there is one yet, has a layout that this pyflow can read.

        Raises:
            StoreError: It was made by a newer pyflow, or what says its layout is damaged.
        """
        if not self._is_known:
            self._is_known = self._has_known_layout()

    def prepare(self) -> None:
        """Make the folder with what belongs in it, closed to other users; fine when it exists.

        A folder that somebody else made and filled is used as it is: its mode stays, and it gets no
        ``.gitignore``, which would hide what else is in it.
        """
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        make_folder(self.path)
        is_ours = not set(os.listdir(self.path)) - {TEMPORARY, _IGNORE, MARKER}
        make_folder(f"{self.path}/{TEMPORARY}")
        if is_ours:
            _create(f"{self.path}/{_IGNORE}", b"*\n", self.path)
        _create(f"{self.path}/{MARKER}", json.dumps({"layout": LAYOUT_VERSION}).encode() + b"\n", self.path)
        self._is_known = self._has_known_layout()

    def _has_known_layout(self) -> bool:
        path = f"{self.path}/{MARKER}"
        try:
            with open(path, "rb") as file:
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return False
        version = _layout_version(content)
        if version is None:
            raise StoreError(
                f"{path} does not say which layout the store has: {content[:100]!r}. "
                f'If you know that this pyflow wrote the store, write {{"layout": {LAYOUT_VERSION}}} into it.'
            )
        if version > LAYOUT_VERSION:
            raise StoreError(
                f"The store {self.path} has layout {version}, and this pyflow reads layouts up to {LAYOUT_VERSION}: "
                "a newer one made it. Upgrade pyflow, or choose another store."
            )
        return True


def _layout_version(content: bytes) -> int | None:
    try:
        said = json.loads(content)
    except ValueError:
        return None
    version = said.get("layout") if isinstance(said, dict) else None
    return version if isinstance(version, int) and version >= 1 else None


def _create(path: str, data: bytes, root: str) -> None:
    """Make a small file, whole or not at all, unless there is one."""
    if os.path.lexists(path):
        return
    aside = f"{root}/{TEMPORARY}/{os.getpid()}-{os.urandom(6).hex()}"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    try:
        os.write(fd, data)
        os.link(aside, path)
    except FileExistsError:
        pass  # another process made it meanwhile, with the same content
    finally:
        os.close(fd)
        os.unlink(aside)

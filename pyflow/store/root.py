"""The folder that a store lives in: how it is made, and which layout it has."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pyflow.digest import Buffer
from pyflow.late import late
from pyflow.store.disk import FILE_MODE, make_folder, remove, write_all
from pyflow.store.keys import MARKER
from pyflow.store.layout import check_marker, marker_bytes
from pyflow.store.listing import entries

if TYPE_CHECKING:
    from urllib import parse
else:
    parse = late("urllib.parse")

TEMPORARY: Final = ".tmp"
_IGNORE: Final = ".gitignore"

# Bytes of a path that need no quoting in a URL (RFC 3986, section 3.3: pchar, less what reads badly).
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/+=@,:")


def file_url(path: str) -> str:
    """The ``file://`` URL of an absolute path."""
    if _PLAIN.issuperset(path):
        return f"file://{path}"
    return f"file://{parse.quote(os.fsencode(path))}"


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
            self.create(_IGNORE, b"*\n")
        self.create(MARKER, marker_bytes())
        self._is_known = self._has_known_layout()

    def make_folder(self, path: str) -> None:
        """Make a folder somewhere in the store, and the store when there is none."""
        # The whole store may have been removed since it was looked at.
        if not (self._is_known and os.path.exists(f"{self.path}/{MARKER}")):
            self.prepare()
        make_folder(path)

    def write_aside(self, parts: Sequence[Buffer]) -> str:
        """Write a new file that no key names yet; its path. The store is made when there is none."""
        self.check()
        try:
            return self._write_new_file(parts)
        except FileNotFoundError:
            self.prepare()
            return self._write_new_file(parts)

    def aside(self) -> list[os.DirEntry[str]]:
        """The files that were written aside, or are being written, and that no key names yet."""
        return entries(f"{self.path}/{TEMPORARY}")

    def create(self, name: str, data: bytes) -> None:
        """Make a small file at the root, whole or not at all, unless there is one."""
        path = f"{self.path}/{name}"
        if os.path.lexists(path):
            return
        aside = self._write_new_file([data])
        try:
            # Another process may have made it meanwhile, with the same content.
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        finally:
            remove(aside)

    def _write_new_file(self, parts: Sequence[Buffer]) -> str:
        # The random part keeps apart the processes of several machines or containers with one number.
        path = f"{self.path}/{TEMPORARY}/{os.getpid()}-{os.urandom(8).hex()}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
        try:
            try:
                write_all(fd, parts)
            finally:
                os.close(fd)
        except BaseException:
            remove(path)
            raise
        return path

    def _has_known_layout(self) -> bool:
        path = f"{self.path}/{MARKER}"
        try:
            with open(path, "rb") as file:
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return False
        check_marker(content, at=path, store=self.path)
        return True

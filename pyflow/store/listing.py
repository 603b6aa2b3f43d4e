"""What lies below a folder, as keys in the order of their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timezone

from pyflow.store.disk import is_file
from pyflow.store.protocol import BlobInfo


def entries(path: str) -> list[os.DirEntry[str]]:
    """What lies in a folder, without what no key can name; empty when there is no such folder."""
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def files_below(path: str, prefix: str, after: str) -> Iterator[BlobInfo]:
    """All files below a folder whose keys come after ``after``, in the order of keys.

    In it "a-b" comes before "a/b", and that before "a0".
    """
    named = [
        (entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name, entry) for entry in entries(path)
    ]
    for name, entry in sorted(named, key=lambda pair: pair[0]):
        key = prefix + name
        if not name.endswith("/"):
            info = entry_info(key, entry) if key > after else None
            if info is not None:
                yield info
        elif key > after or after.startswith(key):
            yield from files_below(entry.path, key, after)


def entry_info(key: str, entry: os.DirEntry[str]) -> BlobInfo | None:
    """Size and time of what a folder lists; None when it is no file, or gone meanwhile."""
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return file_info(key, found) if is_file(found) else None


def file_info(key: str, found: os.stat_result) -> BlobInfo:
    """What the file system says of a key's file."""
    return BlobInfo(key, found.st_size, datetime.fromtimestamp(found.st_mtime, timezone.utc))

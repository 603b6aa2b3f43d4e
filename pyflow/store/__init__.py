"""Bytes under keys and under their own digests, in a folder, in a bucket or in memory.

``open_blobs`` turns a URL into a store; ``ContentStore`` keeps blobs under their digests in any of them;
``Keys`` says under which keys everything lies.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from pyflow.errors import StoreError
from pyflow.late import late
from pyflow.store.commits import RunCommits
from pyflow.store.content import ContentStore
from pyflow.store.key_file import default_key_file, keys_in
from pyflow.store.keys import CANCEL, LAYOUT, MARKER, Keys, attempt_name, check_key, check_segment
from pyflow.store.protocol import BlobInfo, BlobStore
from pyflow.store.sweeps import LEAST_GRACE, RENEW_AFTER, SWEEP_LASTS, condemn
from pyflow.store.trials import S3Trials, network_file_system
from pyflow.store.trust import Trust, about, about_error, advice

if TYPE_CHECKING:
    from urllib import parse

    from pyflow.store import folder, memory, s3
else:
    folder = late("pyflow.store.folder")
    memory = late("pyflow.store.memory")
    s3 = late("pyflow.store.s3")
    parse = late("urllib.parse")

__all__ = [
    "CANCEL",
    "LAYOUT",
    "LEAST_GRACE",
    "MARKER",
    "RENEW_AFTER",
    "SWEEP_LASTS",
    "BlobInfo",
    "BlobStore",
    "ContentStore",
    "Keys",
    "RunCommits",
    "Trust",
    "about",
    "about_error",
    "attempt_name",
    "advice",
    "check_key",
    "check_segment",
    "default_key_file",
    "folder_of",
    "keys_in",
    "names_scheme",
    "S3Trials",
    "condemn",
    "network_file_system",
    "open_blobs",
]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")


def names_scheme(text: str) -> bool:
    """Whether a text says of which kind a store is, as URLs do; else it is a path."""
    return _SCHEME.match(text) is not None


def folder_of(url: str) -> str | None:
    """The folder that a path or a ``file://`` URL names; None for stores that are in none."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return os.path.expanduser(url)
    return _path_of_file_url(url) if scheme[1].lower() == "file" else None


def open_blobs(url: str | os.PathLike[str]) -> BlobStore:
    """The store at a URL or path. Nothing is made or asked until the store is used.

    Args:
        url: A path (``.pyflow``, ``~/store``), ``file:///absolute/path``, ``s3://bucket/prefix``, or
            ``memory://name``, which is for tests and ends with the process.

    Raises:
        StoreError: The URL is of a kind that is not known, or does not say where the store is.
    """
    text = os.fspath(url)
    scheme = _SCHEME.match(text) if isinstance(url, str) else None
    if scheme is None:
        return _open_folder(text)
    kind, rest = scheme[1].lower(), text[scheme.end() :]
    if kind == "file":
        return _open_folder(_path_of_file_url(text))
    if kind == "memory":
        return _open_memory(rest.removeprefix("/"))
    if kind == "s3":
        return _open_s3(text)
    raise StoreError(
        f"{text!r} is not a store: {kind!r} is not one of the kinds file, s3, memory. A plain path works, too."
    )


def _open_folder(path: str) -> BlobStore:
    if not path or "\0" in path:
        raise StoreError(f"{path!r} is not the path of a folder. Name one, for example '.pyflow'.")
    return folder.FolderBlobs(os.path.expanduser(path))


def _open_memory(name: str) -> BlobStore:
    return memory.named_memory(name)


def _open_s3(url: str) -> BlobStore:
    return s3.open_s3(url)


def _path_of_file_url(url: str) -> str:
    """The path of a ``file://`` URL; the only host it may name is this one (RFC 8089)."""
    rest = url[len("file:") :]
    if rest.startswith("//"):
        host, slash, below = rest[2:].partition("/")
        rest = slash + below
        if host not in {"", "localhost"} or not slash:
            raise StoreError(f"{url!r} does not name an absolute path. Write three slashes: 'file:///absolute/path'.")
    return parse.unquote(rest) if "%" in rest else rest

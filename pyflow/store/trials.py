"""What can be tried of a store beyond the protocol, to tell a person what it can do."""

from __future__ import annotations

import os
import re
from typing import Final, Protocol, runtime_checkable

from pyflow.digest import Buffer
from pyflow.store.protocol import BlobStore

_MOUNTS: Final = "/proc/self/mounts"
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "ncpfs"}
)


@runtime_checkable
class S3Trials(BlobStore, Protocol):
    """A store in a bucket, whose server is asked without any help of pyflow's."""

    def create_as_asked(self, key: str, data: Buffer) -> bool:
        """Ask for a create-only write; whether the store said yes."""

    def refuses_wrong_bytes(self, key: str) -> bool:
        """Whether the store refuses a write whose bytes are not those that were signed."""

    def note_create_only(self, *, is_honoured: bool) -> None:
        """Keep with the store what was found out."""


def network_file_system(url: str) -> str:
    """The kind of network file system that a folder store lies on; empty when it lies on none, or is no folder."""
    if not url.startswith("file://"):
        return ""
    path = os.path.realpath(url.removeprefix("file://"))
    found = max(
        ((point, kind) for point, kind in _mounts() if f"{path}/".startswith(f"{point.rstrip('/')}/")),
        key=lambda mount: len(mount[0]),
        default=("", ""),
    )
    return found[1] if found[1] in _NETWORK else ""


def _mounts() -> list[tuple[str, str]]:
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            fields = [line.split() for line in file]
    except OSError:
        return []
    return [(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), f[1]), f[2]) for f in fields if len(f) > 2]

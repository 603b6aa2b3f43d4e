"""The code bundle: local code as a zip file, the same bytes for the same files, and its way back to a folder.

Files are unpacked, not imported from the zip, so that code which reads data beside its own ``__file__``
works as it did. Which files belong in a bundle is for ``discovery`` to say; the digest of the bytes, and
where they are kept, for the caller.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyflow.digest import Buffer, sha256_hex
from pyflow.errors import IntegrityError
from pyflow.jsontext import EMPTY_OBJECT
from pyflow.late import late

if TYPE_CHECKING:
    import shutil
    import zipfile
else:
    shutil = late("shutil")
    zipfile = late("zipfile")

BundleFile: TypeAlias = "tuple[str, str | bytes]"

# No compression, as zipfile.ZIP_STORED says it.
ZIP_STORED: Final = 0
# The first day that a zip file can express.
FIXED_DATE: Final = (1980, 1, 1, 0, 0, 0)
MAX_UNPACKED_BYTES: Final = 256 * 1024 * 1024
"""More than any bundle that ``discovery`` makes; an archive that claims more is not one of ours."""


class CodeBundle(NamedTuple):
    """Local code that travels: each file by its name in the archive and where its bytes are."""

    files: tuple[BundleFile, ...] = ()
    """(archive name, path of the source file, or its bytes), sorted by name."""
    modules: tuple[str, ...] = ()
    """Full names of the local modules that the code reaches, sorted."""
    origin: Mapping[str, str] = EMPTY_OBJECT
    """Archive name → path of the user's file, to show a worker's frames as the user's own lines."""
    extensions: tuple[str, ...] = ()
    """Archive names of compiled modules among the files: they run on this platform and Python minor only."""

    def __bool__(self) -> bool:
        return bool(self.files)

    def write(self) -> bytes | None:
        """The bundle as the bytes of a zip file; None when there is nothing to ship.

        The bytes depend on the files' names, contents and executable bits alone. Nothing is compressed:
        compressors differ between builds of Python, and these bytes are an address.
        """
        if not self.files:
            return None
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, source in self.files:
                info = zipfile.ZipInfo(name, date_time=FIXED_DATE)
                archive.writestr(
                    _marked(info, source), source if isinstance(source, bytes) else Path(source).read_bytes()
                )
        return buffer.getvalue()


def install(archive: Buffer, into: Path) -> Path:
    """The folder, below ``into``, that holds the unpacked bundle; put it on ``sys.path``.

    The folder is named by the archive's digest and made once, however many processes ask at the same
    time. One from which files have vanished (cleaners of ``/tmp`` do that) is made anew.

    Raises:
        IntegrityError: The archive is not one that pyflow wrote: a name leads outside, a link, a bomb.
    """
    digest = sha256_hex(archive)
    target = into / digest
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            members = _checked_members(opened)
            if _is_intact(target, members):
                return target
            _unpack_aside_and_rename(opened, members, target)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, struct.error) as error:
        raise IntegrityError(f"The code bundle {digest[:12]} is not a readable zip file: {error}.") from error
    return target


def _marked(info: zipfile.ZipInfo, source: str | bytes) -> zipfile.ZipInfo:
    """A member's marks: nothing of this machine or moment, except whether the file may be executed."""
    info.compress_type = ZIP_STORED
    # The field is otherwise that of the system that writes, and the bytes would tell Windows from Linux.
    info.create_system = 3
    is_executable = isinstance(source, str) and bool(Path(source).stat().st_mode & stat.S_IXUSR)
    info.external_attr = (stat.S_IFREG | (0o755 if is_executable else 0o644)) << 16
    return info


def _checked_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = archive.infolist()
    seen: set[str] = set()
    for member in members:
        # ZipFile cuts a name at a NUL and turns backslashes around; the name as written is what counts.
        _check_name(member.orig_filename)
        # Encrypted or compressed is nothing that write() writes, and an archive that is neither is no bomb.
        is_plain = member.compress_type == ZIP_STORED and not member.flag_bits & 1
        is_file = stat.S_IFMT(member.external_attr >> 16) in {0, stat.S_IFREG}
        if member.filename in seen or not is_plain or not is_file:
            raise IntegrityError(
                f"The code bundle holds {member.filename!r} twice, or not as a plain file's bytes. Nothing was unpacked."
            )
        seen.add(member.filename)
    size_bytes = sum(member.file_size for member in members)
    if size_bytes > MAX_UNPACKED_BYTES:
        raise IntegrityError(
            f"The code bundle claims {size_bytes} bytes, more than any that pyflow writes. Nothing was unpacked."
        )
    return members


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    parts_are_plain = all(part not in {"", ".", ".."} for part in name.split("/"))
    if not parts_are_plain or path.is_absolute() or any(sign in name for sign in ("\\", "\0", ":")):
        raise IntegrityError(
            f"The code bundle holds a file named {name!r}, which leads out of its folder. Nothing was unpacked."
        )


def _is_intact(folder: Path, members: list[zipfile.ZipInfo]) -> bool:
    try:
        return all((folder / member.filename).stat().st_size == member.file_size for member in members)
    except OSError:
        return False


def _unpack_aside_and_rename(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name[:12]}-{os.getpid()}-{os.urandom(6).hex()}")
    aside.mkdir(mode=0o700)
    try:
        unpacked = aside / "new"
        for member in members:
            path = unpacked / member.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(member))
            if member.external_attr >> 16 & stat.S_IXUSR:
                path.chmod(0o755)
        _put_in_place(unpacked, target, members, aside / "damaged")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _put_in_place(unpacked: Path, target: Path, members: list[zipfile.ZipInfo], damaged: Path) -> None:
    try:
        # Onto a folder that is there and not empty, a rename fails: then another process was first.
        unpacked.rename(target)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        if _is_intact(target, members):
            return
        _move_away(target, damaged)
        _put_in_place(unpacked, target, members, damaged.with_name(damaged.name + "-more"))


def _move_away(target: Path, damaged: Path) -> None:
    try:
        target.rename(damaged)
    except FileNotFoundError:
        return  # another process moved it first, which is as good

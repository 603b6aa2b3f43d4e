"""Folders as tar archives: packed the same way each time, unpacked without trusting a name in them.

Kept are files, folders (empty ones, too), symbolic links that stay inside, and permission bits. Folders are
always left open to their owner, so that who unpacks one can also remove it. Hard links become files of their own.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from pyflow.digest import Buffer
from pyflow.errors import IntegrityError
from pyflow.late import late

if TYPE_CHECKING:
    import tarfile
    import tempfile
else:
    tarfile = late("tarfile")
    tempfile = late("tempfile")

_PERMISSIONS: Final = 0o777
_WRITE_SIZE: Final = 16 * 1024 * 1024


class LeadsOutsideError(ValueError):
    """A folder holds something that cannot travel with it; the message names it, and says what would work."""


def pack_folder(folder: Path, scratch: Path | None, *, without: str = "") -> tuple[Buffer, list[Path]]:
    """A tar archive of what is in a folder: the same bytes for the same content, names and permission bits.

    The archive is a temporary file without a name, mapped; it goes when the buffer goes.

    Args:
        folder: What is packed.
        scratch: Where the archive is, without a name; the system's own folder when None.
        without: Folders within that hold a file of this name are left out.

    Returns:
        The archive, and the folders that were left out.

    Raises:
        LeadsOutsideError: A link leads out of the folder, or there is a socket, pipe or device.
        OSError: Something in it cannot be read.
    """
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
    left_out: list[Path] = []
    with tempfile.TemporaryFile(dir=scratch) as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar:
            for path in _walk(folder, without, left_out):
                _add(tar, folder, path)
        file.flush()
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), left_out


def unpack_folder(data: memoryview, folder: Path) -> None:
    """Write what an archive holds into a new folder, and nowhere else.

    Raises:
        IntegrityError: This is no archive that ``pack_folder`` made; what was written is inside the folder.
    """
    folder.mkdir(mode=0o700)
    try:
        with tarfile.open(fileobj=_as_file(data), mode="r:", encoding="utf-8") as tar:
            # Links come last, so that nothing is ever written through one.
            members = sorted(tar, key=lambda member: member.issym())
    except (tarfile.TarError, ValueError, EOFError, OverflowError) as error:
        raise IntegrityError(f"The archive of a folder is damaged: {error}.") from error
    for member in members:
        _extract(member, data, folder)
    _check_links(members, folder)
    for member in sorted(members, key=lambda member: member.name, reverse=True):
        if member.isdir():
            _target(member, folder).chmod(member.mode & _PERMISSIONS | stat.S_IRWXU)


def _walk(folder: Path, without: str, left_out: list[Path]) -> Iterator[Path]:
    """What is in a folder, at any depth, each folder before what is in it, names in order; what is left out is listed."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        path = folder / entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and without and os.path.lexists(path / without):
            left_out.append(path)
            continue
        yield path
        if is_folder:
            yield from _walk(path, without, left_out)


def _add(tar: tarfile.TarFile, folder: Path, path: Path) -> None:
    info = tar.tarinfo(path.relative_to(folder).as_posix())
    status = path.lstat()
    info.mode = stat.S_IMODE(status.st_mode) & _PERMISSIONS
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname, info.mode = b"2", _inner_link(folder, path), _PERMISSIONS
        tar.addfile(info)
    elif stat.S_ISDIR(status.st_mode):
        info.type = b"5"
        tar.addfile(info)
    elif stat.S_ISREG(status.st_mode):
        with path.open("rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            tar.addfile(info, file)
    else:
        raise LeadsOutsideError(
            f"{info.name!r} is neither a file, a folder nor a link (a socket, a pipe or a device). "
            "Hand over a folder without it."
        )


def _inner_link(folder: Path, link: Path) -> str:
    """Where a link leads, as a relative path that does not leave the folder on its way."""
    raw, here = os.fspath(link.readlink()), link.parent
    target = os.path.normpath(here / raw)
    if not (_is_inside(target, str(folder)) and _is_inside(os.path.realpath(link), os.path.realpath(folder))):
        raise LeadsOutsideError(
            f"the link {os.fspath(link.relative_to(folder))!r} leads outside, to {raw!r}. "
            "A folder travels with what is in it: copy the target into it, or make the link relative and inside."
        )
    relative = os.path.relpath(target, here)
    return raw if relative == os.path.normpath(raw) else relative


def _is_inside(path: str, folder: str) -> bool:
    return os.path.commonpath((path, folder)) == folder


def _target(member: tarfile.TarInfo, folder: Path) -> Path:
    parts = member.name.split("/")
    if member.name.startswith("/") or "\0" in member.name or {"", ".", ".."} & set(parts):
        raise IntegrityError(f"The archive of a folder holds the name {member.name!r}, which leads elsewhere.")
    return folder.joinpath(*parts)


def _extract(member: tarfile.TarInfo, data: memoryview, folder: Path) -> None:
    target = _target(member, folder)
    try:
        if member.type == b"5":
            target.mkdir(mode=0o700)
        elif member.type == b"2":
            target.symlink_to(member.linkname)
        elif member.type == b"0" and not member.issparse():
            _write_file(member, data, target)
        else:
            raise IntegrityError(f"The archive of a folder holds {member.name!r} of type {member.type!r}.")
    except (FileExistsError, FileNotFoundError, NotADirectoryError, ValueError) as error:
        # A name twice, or below what is no folder: pack_folder writes neither.
        raise IntegrityError(f"The archive of a folder holds {member.name!r} in a wrong place: {error}.") from error


def _write_file(member: tarfile.TarInfo, data: memoryview, target: Path) -> None:
    end = member.offset_data + member.size
    if member.size < 0 or end > len(data):
        raise IntegrityError(f"The archive of a folder ends inside {member.name!r}.")
    with target.open("xb") as file:
        for start in range(member.offset_data, end, _WRITE_SIZE):
            file.write(data[start : min(start + _WRITE_SIZE, end)])
    target.chmod(member.mode & _PERMISSIONS)


def _check_links(members: list[tarfile.TarInfo], folder: Path) -> None:
    root = os.path.realpath(folder)
    for member in members:
        link = _target(member, folder)
        if not member.issym() or (
            not member.linkname.startswith("/")
            and _is_inside(os.path.normpath(link.parent / member.linkname), str(folder))
            and _is_inside(os.path.realpath(link), root)
        ):
            continue
        for each in members:
            if each.issym():
                _target(each, folder).unlink()
        raise IntegrityError(f"The archive of a folder holds the link {member.name!r}, which leads outside.")


def _as_file(data: memoryview) -> IO[bytes]:
    """The bytes as a file to read from, without a copy of them."""
    return _View(data)  # type: ignore[return-value]  # tarfile reads, seeks and tells, no more


class _View:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        start = self._at
        self._at = len(self._data) if size < 0 else min(start + size, len(self._data))
        return bytes(self._data[start : self._at])

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._data)}[whence]
        self._at = max(0, min(origin + offset, len(self._data)))
        return self._at

    def tell(self) -> int:
        return self._at

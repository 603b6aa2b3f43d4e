"""Codec of paths: what travels is the file or folder that lies there, and its name.

A file is mapped, never read into memory as a whole; it must not change until its payload is stored. A folder
travels as a tar archive (``archive``). Kept are the name, the content and the permission bits; owner, times
and the set-user-id bits are not.
"""

from __future__ import annotations

import itertools
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyflow.digest import Buffer
from pyflow.errors import IntegrityError, NotSerializableError, warn_author
from pyflow.late import late
from pyflow.payload.archive import LeadsOutsideError, pack_folder, unpack_folder
from pyflow.payload.model import Body, Payload, Request, make_payload

if TYPE_CHECKING:
    import tempfile
else:
    tempfile = late("tempfile")

PERMISSIONS: Final = 0o777
_MIN_MAPPED: Final = 64 * 1024  # a process may hold some 65,000 maps (vm.max_map_count), so little files are read
_WRITE_SIZE: Final = 16 * 1024 * 1024


class LeftOutWarning(UserWarning):
    """A folder travels without a store that lies in it: with it each run would double the store."""


class Section(NamedTuple):
    """A file or folder as it travels."""

    kind: str
    """``file`` or ``folder``."""
    name: str
    mode: int
    data: Buffer

    def describe(self) -> dict[str, object]:
        """All but the bytes, for a header."""
        return {"is": self.kind, "name": self.name, "mode": self.mode}

    @classmethod
    def described(cls, fields: object, data: memoryview) -> Section:
        """A section from a header's fields; IntegrityError when they are not what ``describe`` gave."""
        match fields:
            case {"is": "file" | "folder" as kind, "name": str(name), "mode": int(mode)} if _is_name(name):
                return cls(kind, name, mode & PERMISSIONS, data)
        raise IntegrityError(f"The header of a payload describes a file as {fields!r}.")


def exists(path: Path) -> bool:
    """True when something lies at the path; False also for a text that no file system takes."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def read_section(path: Path, request: Request) -> Section:
    """What lies at a path.

    Raises:
        NotSerializableError: Nothing lies there, or nothing that can travel.
    """
    with _explained(path, request):
        resolved = path.resolve()
        mode = resolved.stat().st_mode
        # What the author calls it, even when that is a link; "." and ".." are called what they lead to.
        name = path.name if _is_name(path.name) else resolved.name or "root"
        if stat.S_ISDIR(mode):
            data, left_out = pack_folder(resolved, request.scratch, without=request.leaves_out)
            for folder in left_out:
                _warn_of_left_out(path, folder.relative_to(resolved), request)
            return Section("folder", name, stat.S_IMODE(mode) & PERMISSIONS, data)
        if stat.S_ISREG(mode):
            return Section("file", name, stat.S_IMODE(mode) & PERMISSIONS, _read_file(resolved))
    raise NotSerializableError(
        request.sentence(f"hands over the path {str(path)!r}, which is neither a file nor a folder.")
    )


def place_section(section: Section, scratch: Path | None) -> Path:
    """Write a file or folder to a fresh place, under its own name, and say where."""
    path = _fresh_folder(scratch) / section.name
    if section.kind == "folder":
        unpack_folder(memoryview(section.data), path)
    else:
        with path.open("xb") as file:
            view = memoryview(section.data)
            for start in range(0, len(view), _WRITE_SIZE):
                file.write(view[start : start + _WRITE_SIZE])
    path.chmod(section.mode | stat.S_IRWXU if section.kind == "folder" else section.mode)
    return path


def encode_path(value: Path, request: Request) -> Payload:
    """The file or folder at a path.

    Raises:
        NotSerializableError: Nothing lies there, or nothing that can travel.
    """
    section = read_section(value, request)
    return make_payload(section.kind, (section.data,), fields={"file": section.describe()})


def decode_path(body: Body) -> Path:
    """A path of the caller's own, with the same content and name."""
    return place_section(Section.described(body.header.fields.get("file"), body.data), body.scratch)


def _read_file(path: Path) -> Buffer:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < _MIN_MAPPED:
            return file.read()
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _fresh_folder(scratch: Path | None) -> Path:
    if scratch is None:
        return Path(tempfile.mkdtemp(prefix="pyflow-"))
    scratch.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        try:
            folder = scratch / str(number)
            folder.mkdir(mode=0o700)
            return folder
        except FileExistsError:  # another file of this task, or of a thread beside us
            continue
    raise AssertionError("itertools.count ended")


def _is_name(name: str) -> bool:
    return name not in {"", ".", ".."} and not {"/", "\0"} & set(name)


@contextmanager
def _explained(path: Path, request: Request) -> Iterator[None]:
    """Turn what reading a path may raise into a sentence about the value."""
    try:
        yield
    except FileNotFoundError as error:
        if exists(path):
            raise _unreadable(path, request, "changed while it was being read") from error
        raise NotSerializableError(
            request.sentence(f"is the path {str(path)!r}, and nothing lies there (working directory: {Path.cwd()}). ")
            + "A path stands for its file: write the file first, or hand over str(path) where only the name is meant."
        ) from error
    except LeadsOutsideError as error:
        raise NotSerializableError(
            request.sentence(f"hands over the folder {str(path)!r}, in which {error}")
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreadable(path, request, f"cannot be read: {error}") from error


def _warn_of_left_out(path: Path, folder: Path, request: Request) -> None:
    text = f"hands over the folder {str(path)!r} without {str(folder)!r} in it, which is a store of pyflow's."
    warn_author(request.sentence(text), LeftOutWarning)


def _unreadable(path: Path, request: Request, why: str) -> NotSerializableError:
    return NotSerializableError(request.sentence(f"hands over the path {str(path)!r}, which {why}."))

"""What an author writes as ``packages=``, read and checked: a list, a file or ``auto``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pyflow.digest import sha256_hex
from pyflow.environments.lock import Lock, is_lock, parse_lock
from pyflow.errors import DefinitionError

Kind: TypeAlias = Literal["list", "requirements", "project", "script", "lock"]

AUTO: Final = "auto"
_CREDENTIALS: Final = re.compile(r"://[^/\s@]*@")
_INCLUDE: Final = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)(?:\s+|=)(\S+)", re.MULTILINE)
_INDEX: Final = re.compile(
    r"^\s*(?:--index-url|-i|--extra-index-url|--index|--default-index|--find-links|-f|--no-index)\b.*$", re.MULTILINE
)
_SCRIPT_BLOCK: Final = re.compile(r"^# /// script\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be installed, and where it was asked for."""

    kind: Kind
    where: str
    """For messages: ``option 'packages' of task 'fit' (flow.py:12)``."""
    folder: Path
    """Where relative paths begin, and where uv looks for its settings."""
    lines: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    file: Path | None = None
    lock: Lock | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    """Name and digest of each file that has a say."""

    @property
    def asker(self) -> str:
        """``where`` without the places in files."""
        return self.where.partition(" (")[0]

    @property
    def what(self) -> tuple[object, ...]:
        """All that decides what is installed: equal for two that ask for the same in different places."""
        return self.kind, self.lines, self.constraints, self.inputs

    def index_lines(self) -> list[str]:
        """The lines of its requirements files that say where packages come from."""
        if self.kind != "requirements" or self.file is None:
            return []
        return [line.strip() for path in _with_included(self.file) for line in _INDEX.findall(_text_of(path))]


def read_request(
    packages: str | Sequence[str],
    folders: Sequence[Path],
    where: str,
    *,
    constraints: Sequence[str] = (),
) -> Request:
    """What ``packages`` asks for.

    Args:
        packages: A list of requirements, or the path of a file; ``auto`` is made a list before.
        folders: Where a relative path may begin, the likeliest first.
        where: Who asks, for messages.
        constraints: Versions that hold for whatever else is needed.

    Raises:
        DefinitionError: It cannot be what was meant; the message says where it stands.
    """
    folder = folders[0] if folders else Path.cwd()
    if isinstance(packages, str):
        return _of_file(packages, folders or [folder], where)
    lines = tuple(_checked(line.strip(), folder, where) for line in packages if line.strip())
    inputs = [(line, _digest_of(Path(path))) for line in lines if (path := _wheel_path(line))]
    return Request(
        kind="list", where=where, folder=folder, lines=lines, constraints=tuple(constraints), inputs=tuple(inputs)
    )


def _checked(line: str, folder: Path, where: str) -> str:
    """A requirement as uv gets it.

    A folder as a requirement would be built here, and what a build makes depends on this machine: local code travels as code.
    """
    if _CREDENTIALS.search(line):
        raise DefinitionError(
            f"The {where} names an address with a password or token in it, which would be kept with the run. "
            "Let uv know it instead: UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, a .netrc file, or a keyring."
        )
    if line.startswith("-"):
        raise DefinitionError(
            f"The {where} holds {line!r}, which belongs in a requirements file. Write it into one, and give its path: "
            "packages='requirements.txt'."
        )
    if line.endswith(".whl") and "://" not in line:
        path = folder / line
        if not path.is_file():
            raise DefinitionError(f"The {where} names the wheel {line!r}, and there is no '{path}'.")
        return str(path.resolve())
    is_folder = line.startswith((".", "/", "~")) or "file:" in line
    if is_folder or line.endswith((".txt", ".toml", ".py", ".lock")):
        what = "a local folder" if is_folder else "a file"
        then = (
            "Leave it out: code of your own travels by itself."
            if is_folder
            else f"Write packages={line!r}, without the list."
        )
        raise DefinitionError(f"The {where} holds {line!r} in its list of requirements, which is {what}. {then}")
    return line


def _wheel_path(line: str) -> str:
    return line if line.endswith(".whl") and "://" not in line else ""


def _of_file(text: str, folders: Sequence[Path], where: str) -> Request:
    path = _find(text, folders, where)
    if path.name in {"pyproject.toml", "uv.lock"}:
        return _of_project(path.parent, where)
    content = _text_of(path)
    if path.suffix == ".py":
        if not _SCRIPT_BLOCK.search(content):
            raise DefinitionError(
                f"The {where} names '{path}', which has no inline metadata. It begins with a line '# /// script', then "
                "'# dependencies = [\"numpy\"]', and ends with '# ///' (PEP 723)."
            )
        return Request(kind="script", where=where, folder=path.parent, file=path, inputs=(_input(path),))
    if is_lock(content):
        lock = parse_lock(content, what=f"'{path}'")
        return Request(kind="lock", where=where, folder=path.parent, file=path, lock=lock, inputs=(_input(path),))
    inputs = tuple(_input(one) for one in _with_included(path))
    return Request(kind="requirements", where=where, folder=path.parent, file=path, inputs=inputs)


def _of_project(folder: Path, where: str) -> Request:
    project, lock = folder / "pyproject.toml", folder / "uv.lock"
    missing = [path.name for path in (project, lock) if not path.is_file()]
    if missing:
        raise DefinitionError(
            f"The {where} names the project in '{folder}', which has no {' and no '.join(missing)}. "
            "A project's packages are taken from its uv.lock, which 'uv lock' makes there."
        )
    return Request(kind="project", where=where, folder=folder, file=project, inputs=(_input(project), _input(lock)))


def _find(text: str, folders: Sequence[Path], where: str) -> Path:
    tried = list(dict.fromkeys(Path(os.path.abspath(folder / Path(text).expanduser())) for folder in folders))  # noqa: PTH100
    for path in tried:
        if path.is_file():
            return path
        if path.is_dir() and (path / "pyproject.toml").is_file():
            return path / "pyproject.toml"
    looks_like_one = re.fullmatch(r"[A-Za-z0-9._\[\],-]+\s*([=<>!~].*)?", text) and not text.endswith(
        (".txt", ".toml", ".py")
    )
    hint = f" For a requirement write a list: packages=[{text!r}]." if looks_like_one else ""
    raise DefinitionError(
        f"The {where} names the file {text!r}, which is not there: {', '.join(f'{str(path)!r}' for path in tried)}.{hint}"
    )


def _with_included(path: Path, seen: tuple[Path, ...] = ()) -> list[Path]:
    """A requirements file, and those that it includes."""
    if path in seen or not path.is_file():
        return []
    found = [path]
    for name in _INCLUDE.findall(_text_of(path)):
        found += _with_included((path.parent / name).resolve(), (*seen, *found))
    return list(dict.fromkeys(found))


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _digest_of(path: Path) -> str:
    return sha256_hex(path.read_bytes())


def _input(path: Path) -> tuple[str, str]:
    return path.name, _digest_of(path)

"""Request → archive in the store, once: an environment that was asked for before costs two questions to the store.

What a request led to is remembered on this machine and not in the store, where others could write it.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyflow.digest import sha256_hex
from pyflow.environments.archive import write_archive
from pyflow.environments.cache import environments_folder
from pyflow.environments.lock import Lock
from pyflow.environments.request import Request
from pyflow.environments.resolve import install, resolve
from pyflow.environments.target import Target
from pyflow.environments.tree import tidy
from pyflow.errors import NotFoundError
from pyflow.jsontext import Json, dump
from pyflow.late import late
from pyflow.store import ContentStore
from pyflow.terminal import counted

if TYPE_CHECKING:
    import tempfile
else:
    tempfile = late("tempfile")

# Raised whenever the same lock would give other bytes, or the same request another lock.
_RECIPE: Final = 1
_USER_INFO: Final = re.compile(r"://[^/\s@]+@")
# Variables of uv that say what may be chosen. Those with passwords are none of them.
_CHOOSING: Final = re.compile(
    r"UV_(?:DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|INDEX_STRATEGY|CONSTRAINT|OVERRIDE|EXCLUDE_NEWER|PRERELEASE|"
    r"RESOLUTION|NO_INDEX|TORCH_BACKEND|CONFIG_FILE)"
)


@dataclass(frozen=True, slots=True)
class Environment:
    """Installed packages as an archive in a store."""

    wire: dict[str, Json]
    """What ``PackedOptions.environment`` says."""
    lock: Lock
    is_new: bool
    """It had to be made, or put into this store, now."""


def build(
    request: Request,
    target: Target,
    content: ContentStore,
    *,
    tell: Callable[[str], None] = lambda _: None,
    folder: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    is_anew: bool = False,
) -> Environment:
    """The environment that meets a request; its archive and its lock are in the store when this returns.

    Args:
        request: What is asked for.
        target: For which Python and platform.
        content: The store.
        tell: Is told what takes time now, in a line for a person.
        folder: Where this machine keeps environments; None: ``environments_folder()``.
        environ: uv's settings among the variables.
        is_anew: Choose again, even if the same was asked for before.

    Raises:
        DefinitionError: Nothing meets the request; the message says why, and where it stands.
        ExecutorError: No package index answered, or the disk is full.
        ConfigError: There is no uv.
        StoreError: The store did not take it.
    """
    folder = folder or environments_folder()
    note = folder / "requests" / f"{_key(request, target, environ)}.json"
    known = None if is_anew else _read(note)
    if known is not None and _is_kept(known, content):
        return Environment(known, Lock(target, _text_of_lock(known, content)), is_new=False)
    lock = locked(request, target, folder=folder, environ=environ, tell=tell, is_anew=is_anew)
    tell(f"Installing {counted(len(lock.versions()), 'package')} for {target}, for the {request.asker}.")
    wire = _pack(lock, request, content, folder)
    _write(note, wire)
    return Environment(wire, lock, is_new=True)


def locked(
    request: Request,
    target: Target,
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    tell: Callable[[str], None] = lambda _: None,
    is_anew: bool = False,
) -> Lock:
    """The lock that a request leads to; the one from the last time unless ``is_anew``.

    Raises:
        PyflowError: As ``build``.
    """
    folder = folder or environments_folder()
    note = folder / "requests" / f"{_key(request, target, environ)}.lock"
    if not is_anew and note.is_file():
        return Lock(target, note.read_text(encoding="utf-8"))
    tell(f"Choosing packages for {target}, for the {request.asker}.")
    lock = resolve(request, target)
    _replace(note, lock.requirements)
    # What was built of the choice before must not be taken for this one's.
    note.with_suffix(".json").unlink(missing_ok=True)
    return lock


@contextlib.contextmanager
def installed_aside(
    request: Request, target: Target, *, tell: Callable[[str], None] = lambda _: None, folder: Path | None = None
) -> Iterator[Path]:
    """What meets a request, installed in a folder for as long as the block lasts; no store has it.

    Raises:
        PyflowError: As ``build``.
    """
    folder = folder or environments_folder()
    lock = locked(request, target, folder=folder, tell=tell)
    with tempfile.TemporaryDirectory(prefix="building-", dir=folder) as aside:
        tree = Path(aside) / "tree"
        install(lock, request, tree)
        yield tree


def _pack(lock: Lock, request: Request, content: ContentStore, folder: Path) -> dict[str, Json]:
    # On the disk of the cache, which is meant for this much; a folder for temporary files may lie in memory.
    with tempfile.TemporaryDirectory(prefix="building-", dir=folder) as aside:
        tree, archive = Path(aside) / "tree", Path(aside) / "archive"
        install(lock, request, tree)
        tidy(tree)
        with archive.open("wb") as new:
            contents = write_archive(tree, new)
        with archive.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            with memoryview(mapped) as view:
                digest = content.put_blob([view])
    text = content.put_blob([lock.text.encode()])
    return {
        "digest": digest.hex,
        "size": digest.size_bytes,
        "unpacked": contents.size_bytes,
        "python": lock.target.python,
        "platform": lock.target.platform,
        "lock": {"digest": text.hex, "size": text.size_bytes},
    }


def _key(request: Request, target: Target, environ: Mapping[str, str]) -> str:
    """What decides about an environment, as a digest."""
    settings = {
        name: _USER_INFO.sub("://", value) for name, value in sorted(environ.items()) if _CHOOSING.fullmatch(name)
    }
    what = [_RECIPE, *request.what, str(target), settings]
    return sha256_hex(dump(what).encode())


def _is_kept(wire: dict[str, Json], content: ContentStore) -> bool:
    """Whether the store has an environment, and will go on having it while the run is being recorded."""
    try:
        content.renew_blob(wire["digest"])
        content.renew_blob(wire["lock"]["digest"])
    except NotFoundError:
        return False
    return True


def _text_of_lock(wire: dict[str, Json], content: ContentStore) -> str:
    text = bytes(content.read_blob(wire["lock"]["digest"], wire["lock"]["size"])).decode()
    return text.partition("\n")[2]


def _read(note: Path) -> dict[str, Any] | None:
    try:
        wire = json.loads(note.read_bytes())
        return wire if isinstance(wire, dict) and isinstance(wire["lock"]["digest"], str) and wire["digest"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(note: Path, wire: dict[str, Json]) -> None:
    _replace(note, dump(wire))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)

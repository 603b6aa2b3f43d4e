"""The travelling runtime: pyflow and what it needs beside a task, as one archive for any Python of one minor.

It is made of the distributions that are installed here, pure Python only, and is the same bytes for the same
versions. Unpacked, its folder goes on ``PYTHONPATH`` by itself::

    <folder>/pyflow/…                 found before anything else of that name
    <folder>/sitecustomize.py         puts the folder below at the end of the path
    <folder>/pyflow_start.py          what it does that with, and what a pod starts with
    <folder>/pyflow-dependencies/…    found only where the image has nothing of that name

So an image's own packages stay what they are, and pyflow brings what it lacks. ``compiled`` has it with its modules compiled.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pyflow.bundle import CodeBundle
from pyflow.digest import sha256_hex
from pyflow.errors import EnvironmentMismatchError
from pyflow.late import late

if TYPE_CHECKING:
    import zipfile
    from importlib import metadata
else:
    metadata = late("importlib.metadata")
    zipfile = late("zipfile")

NEEDED: Final = ("boto3", "cloudpickle", "pathspec", "tomli", "typing_extensions")
"""What pyflow imports beside a task; the last two on Python 3.10 only, where they are installed."""

DEPENDENCIES: Final = "pyflow-dependencies"
_PACKAGE: Final = Path(__file__).parents[1]

# What botocore and boto3 know of services is 26 MB; these are what S3 and the ways to credentials for it need. A pod writes
# each of them to a file before anything else, which takes 0.1 ms.
_SERVICES: Final = re.compile(r"boto(?:core|3)/data/")
_SERVICES_KEPT: Final = re.compile(
    r"boto(?:core|3)/data/s3/(?!.*/examples-1\.json).*"
    r"|botocore/data/(?:(?:sts|sso|sso-oidc|signin)/.*/(?:service-2|endpoint-rule-set-1)"
    r"|endpoints|partitions|_retry|sdk-default-configuration)\.json(?:\.gz)?"
)
_LEFT_OUT: Final = re.compile(
    r"(?:^|/)(?:__pycache__|tests?|testing)/|\.(?:pyc|pyi|so|pyd|dylib)$|\.dist-info/|/examples/"
)
_LEFT_OUT_OF_PYFLOW: Final = re.compile(r"(?:^|/)__pycache__/|\.pyc$|^pyflow/(?:cli|ui)/")

_CARRIED: Final = Path(__file__).parent / "carried"

_CORE: Final = ("pyflow/", f"{DEPENDENCIES}/cloudpickle/")
"""What must be the same where a run is made and where its tasks run: what is written here is read there."""


@dataclass(frozen=True, slots=True)
class RuntimeArchive:
    """A zip file that holds the runtime."""

    data: bytes
    digest: str
    python: str
    """The minor of Python that it is for: what needs a newer Python is left out on an older one, and so on."""


@lru_cache(maxsize=1)
def runtime_archive() -> RuntimeArchive:
    """The runtime of this pyflow, for the minor of this Python: the same bytes for the same versions.

    Raises:
        EnvironmentMismatchError: A distribution that it needs is not installed, or not as files.
    """
    files = dict(sorted(_files()))
    data = CodeBundle(files=tuple(files.items())).write()
    assert data is not None
    return RuntimeArchive(data, sha256_hex(data), f"{sys.version_info.major}.{sys.version_info.minor}")


@lru_cache(maxsize=1)
def core_digest() -> str:
    """The digest of what must be the same on both sides of a run, pyflow's own files and cloudpickle's.

    Of what else a runtime holds, as botocore, an image may have another version than who submits.

    Raises:
        EnvironmentMismatchError: As ``runtime_archive``.
    """
    found = hashlib.sha256()
    with zipfile.ZipFile(io.BytesIO(runtime_archive().data)) as archive:
        for name in archive.namelist():
            if name.startswith(_CORE):
                found.update(f"{name}\0{sha256_hex(archive.read(name))}\n".encode())
    return found.hexdigest()


def _files() -> Iterator[tuple[str, str | bytes]]:
    for path in _CARRIED.glob("*.py"):
        yield path.name, str(path)
    for path in _PACKAGE.rglob("*"):
        name = str(PurePosixPath(_PACKAGE.name, path.relative_to(_PACKAGE).as_posix()))
        if path.is_file() and not _LEFT_OUT_OF_PYFLOW.search(name):
            yield name, str(path)
    for distribution in _distributions():
        for file in distribution.files or ():
            name = file.as_posix()
            if _is_kept(name):
                yield f"{DEPENDENCIES}/{name}", os.fspath(Path(distribution.locate_file(file)))  # type: ignore[arg-type]


def _is_kept(name: str) -> bool:
    if name.startswith("../") or _LEFT_OUT.search(name):
        return False
    return _SERVICES.match(name) is None or _SERVICES_KEPT.fullmatch(name) is not None


def _distributions() -> list[metadata.Distribution]:
    """The distributions that the runtime needs, and those that they need."""
    found: dict[str, metadata.Distribution] = {}
    wanted = [(name, name in _OLD_PYTHON_ONLY) for name in NEEDED]
    while wanted:
        name, is_optional = wanted.pop()
        if name in found or (name in _OLD_PYTHON_ONLY and sys.version_info >= (3, 11)):
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            if is_optional:
                continue
            raise EnvironmentMismatchError(
                f"The package {name!r}, which tasks need where they run, is not installed here. Install pyflow again, with what it depends on."
            ) from error
        if not found[name].files:
            raise EnvironmentMismatchError(
                f"The package {name!r} was installed here without a list of its files, so it cannot travel to where tasks run. "
                "Install it by pip or uv."
            )
        wanted += [(_name_of(text), ";" in text) for text in found[name].requires or () if "extra" not in text]
    return list(found.values())


_OLD_PYTHON_ONLY: Final = frozenset({"tomli", "typing_extensions"})


def _name_of(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return re.sub(r"[-_.]+", "-", match[0]).lower()

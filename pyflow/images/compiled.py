"""The travelling runtime with its modules compiled: as a folder of this machine, and as one zip file for pods.

A stock image of Python has no compiled modules, not even of its standard library, and a pod's root is read-only. So both
forms bring the compiled modules of the standard library along that a task's start needs (see ``carried/pyflow_start.py``).
The zip file is imported from as it is: unpacking a thousand files would take longer than what a pod does.
"""

from __future__ import annotations

import contextlib
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyflow.bundle import install
from pyflow.digest import sha256_hex
from pyflow.errors import EnvironmentMismatchError, IntegrityError
from pyflow.images.travelling import core_digest, runtime_archive
from pyflow.late import late

if TYPE_CHECKING:
    import subprocess
    import tempfile
else:
    subprocess = late("subprocess")
    tempfile = late("tempfile")

_PROGRAM: Final = Path(__file__).with_name("compiling.py")
COMPILED_AT: Final = "/pyflow-runtime"
"""Where the zip file lies that is imported from; the file names in its code say so."""


def compiled_in_image() -> str:
    """Where it lies in a runtime image of this pyflow: an image of another one has no file of that name."""
    return f"{COMPILED_AT}-{core_digest()[:16]}"


def install_runtime(into: Path) -> Path:
    """The folder, below ``into``, that holds the runtime with its modules compiled; made once, safely by several at once.

    Raises:
        EnvironmentMismatchError: The modules cannot be compiled.
    """
    folder = install(runtime_archive().data, into)
    marker = folder.with_name(f"{folder.name}.compiled")
    if not marker.exists():
        _compile("folder", str(folder))
        marker.touch()
    _note_use(folder, marker)
    return folder


class CompiledArchive(NamedTuple):
    """A zip file to import the runtime from."""

    path: Path
    digest: str
    size_bytes: int

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            IntegrityError: They are not what they were.
        """
        data = self.path.read_bytes()
        if sha256_hex(data) != self.digest:
            raise IntegrityError(
                f"pyflow's runtime for pods, {self.path}, has changed while this process ran: it is damaged. Delete it; it will be made again."
            )
        return data


def compiled_archive(cache: Path) -> CompiledArchive:
    """The runtime as a zip file to import from; the same bytes for the same versions, this Python's among them.

    Before Python 3.11 there may be a few variants: ``marshal`` writes a set in the order of its hashes, and that of
    ``None`` is its address (bpo-37596). Each machine keeps the one that it made.

    Args:
        cache: A folder in which it is kept; compiling takes seconds.

    Raises:
        EnvironmentMismatchError: The modules cannot be compiled.
    """
    source = runtime_archive()
    path = cache / f"{source.digest}-{sys.implementation.cache_tag}-{sys.hexversion:x}.zip"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".compiling-", dir=cache) as folder:
            aside = Path(folder, "compiled.zip")
            sources = Path(folder, "sources.zip")
            sources.write_bytes(source.data)
            _compile("zip", str(sources), str(aside), COMPILED_AT)
            aside.replace(path)
    _note_use(path)
    found = path.stat()
    return CompiledArchive(path, _digest_of(path, found.st_ino, found.st_size), found.st_size)


@lru_cache(maxsize=4)
def _digest_of(path: Path, _file_number: int, _size_bytes: int) -> str:
    """The digest of a file, found once for each file: what is submitted waits for it."""
    return sha256_hex(path.read_bytes())


def _note_use(*paths: Path) -> None:
    """Let the age of what is cached be that of its last use: what nobody used for long is pruned."""
    for path in paths:
        with contextlib.suppress(OSError):  # who may only read the cache does not prune it either
            os.utime(path)


def _compile(*words: str) -> None:
    """Compile in a process of its own: the bytes of compiled code depend on what a process has loaded, and on its hash seed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV", "AWS"))}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    command = [sys.executable, "-s", "-S", "-B", "-X", "no_debug_ranges", str(_PROGRAM), *words]
    done: Any = subprocess.run(
        command, env={**environment, **nothing, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise EnvironmentMismatchError(f"pyflow could not be compiled for where tasks run: {done.stderr.strip()}")

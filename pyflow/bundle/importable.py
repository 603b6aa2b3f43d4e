"""The import check: a clean process loads every function from the shipped code alone, and says what is missing.

The process sees the unpacked bundle, the standard library and installed packages: not the caller's working
directory, nor ``PYTHONPATH``, nor editable installs. It begins in ``clean_process.py``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyflow.bundle.imports import imports_below
from pyflow.bundle.origins import home_of_file
from pyflow.bundle.syntax import source_of
from pyflow.errors import ExecutorError
from pyflow.late import late

if TYPE_CHECKING:
    import subprocess
    import tempfile
else:
    subprocess = late("subprocess")
    tempfile = late("tempfile")


class ShippedFunction(NamedTuple):
    """A function as it leaves this machine."""

    name: str
    """What the report calls it."""
    payload: Path
    """File with the bytes of the function."""
    source: str = ""
    """The user's file that defines it, to say where a module is imported; may be empty."""


class CleanPath(NamedTuple):
    """What the clean process sees beside the shipped code and the standard library, where that is not what is installed here."""

    before: str
    """A folder whose modules come first."""
    packages: str
    """A folder of installed packages, whose .pth files count, too."""
    behind: str
    """A folder whose modules come last."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that a function needs and would not find where it runs."""

    function: str
    module: str
    """The module that cannot be imported; empty when the failure is another one."""
    at: str
    """Where it is imported, in the user's own file: ``etl.py:12``; empty when nobody knows."""
    error: str
    """The error of the clean process, in one line."""
    name: str = ""
    """A name that the code looks up and nobody defines, when that is the failure."""

    def __str__(self) -> str:
        what = f"{self.function}() does not load"
        if self.module:
            what = f"{self.function}() needs the module {self.module!r}"
        elif self.name:
            what = f"{self.function}() would fail"
        return f"{what}{f' ({self.at})' if self.at else ''}: {self.error}"


def check_importable(
    archive_dir: Path | None,
    functions: Sequence[ShippedFunction | tuple[str, Path]],
    *,
    origin: Mapping[str, str] | None = None,
    path: CleanPath | None = None,
    decoder: str = "pyflow.payload:decode",
    timeout_s: float = 300.0,
) -> list[Missing]:
    """What the functions would miss in a process that has only the shipped code and packages.

    An import that the code itself can do without (inside ``try … except ImportError``) is not reported.

    Args:
        archive_dir: Folder that ``install`` gave; None when nothing is shipped.
        origin: ``CodeBundle.origin``, so that the report speaks of the user's files.
        path: Where the packages are; None: those that are installed here.
        decoder: Where the clean process finds the function that turns a payload into a function.
        timeout_s: How long the clean process may take.

    Raises:
        ExecutorError: The clean process could not be started, or took longer than allowed.
    """
    shipped = [ShippedFunction(*one) for one in functions]
    place = _Places(None if archive_dir is None else str(archive_dir.resolve()), origin or {})
    found: list[Missing] = []
    while shipped:
        done, stderr = _ask(place.bundle, [one.payload for one in shipped], path, decoder, timeout_s)
        for one, answers in zip(shipped, done, strict=False):
            found += (place.missing(one, answer) for answer in answers if not place.is_guarded(answer["at"]))
        if len(done) < len(shipped):
            # This one ended the process; those behind it get another.
            found.append(Missing(shipped[len(done)].name, "", shipped[len(done)].source, stderr))
        shipped = shipped[len(done) + 1 :]
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class _Places:
    """Translates places of the clean process into the user's files."""

    bundle: str | None
    origin: Mapping[str, str]

    def missing(self, function: ShippedFunction, answer: Mapping[str, str]) -> Missing:
        at = self._in_users_file(answer["at"]) or _where_imported(function.source, answer["module"])
        return Missing(function.name, answer["module"], at, answer["error"], answer.get("name", ""))

    def is_guarded(self, at: str) -> bool:
        """True when the code at this place is ready for the import to fail."""
        path, _, line = self._in_users_file(at).rpartition(":")
        return any(one.is_guarded and str(one.line) == line for one in _imports_of(path))

    def _in_users_file(self, at: str) -> str:
        path, _, line = at.rpartition(":")
        if self.bundle is None or not path.startswith(self.bundle + os.sep):
            return at
        name = Path(path).relative_to(self.bundle).as_posix()
        return f"{self.origin.get(name, path)}:{line}"


def _where_imported(path: str, module: str) -> str:
    """The line of a source file that imports a module, or the file when none does."""
    for one in _imports_of(path):
        if module and any(name == module or name.startswith(module + ".") for name in one.absolute("")):
            return f"{path}:{one.line}"
    return path


def _imports_of(path: str) -> Iterator[Any]:
    source = source_of(path, {}) if path else None
    return imports_below(source.tree) if source is not None else iter(())


def _ask(
    bundle: str | None, payloads: list[Path], path: CleanPath | None, decoder: str, timeout_s: float
) -> tuple[list[Any], str]:
    """The answers of a clean process, and how it ended if they are too few."""
    seen = {"standard", "installed"} if path is None else {"standard"}
    request = {
        "path": [
            *([] if bundle is None else [bundle]),
            *([] if path is None else [path.before]),
            *(entry for entry in sys.path if entry and home_of_file(entry) in seen),
        ],
        "packages": path and path.packages,
        "behind": path and path.behind,
        "bundle": bundle or "",
        "pyflow": str(Path(__file__).parent.parent),
        "payloads": [str(payload.resolve()) for payload in payloads],
        "decoder": decoder,
    }
    program = Path(__file__).with_name("clean_process.py")
    with tempfile.TemporaryDirectory(prefix="pyflow-check-") as folder:
        # -I: no variables of Python, no user site, no working directory. -B: the bundle stays as it is.
        command = [sys.executable, "-I", "-B", str(program)]
        try:
            ended = subprocess.run(
                command,
                input=json.dumps(request).encode(),
                capture_output=True,
                cwd=folder,
                timeout=timeout_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ExecutorError(
                f"The import check could not run {sys.executable!r}: {error}. It loads each function in a process of its own, "
                "to find missing modules here and not where tasks run."
            ) from error
    ready, *done = [json.loads(line) for line in ended.stdout.decode().splitlines()] or [None]
    if ready is None:
        raise ExecutorError(f"The import check could not start its clean process: {_last_line(ended)}")
    return done, f"the clean process ended while it loaded this function: {_last_line(ended)}"


def _last_line(ended: subprocess.CompletedProcess[bytes]) -> str:
    if ended.returncode < 0:
        return f"signal {signal.Signals(-ended.returncode).name}"
    lines = ended.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {ended.returncode}"

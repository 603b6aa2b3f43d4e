"""Request → lock → folder: uv chooses once, with hashes, and installs what the lock says and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyflow.environments.lock import Lock
from pyflow.environments.request import Request
from pyflow.environments.target import Target
from pyflow.environments.uv import run_uv
from pyflow.errors import DefinitionError
from pyflow.late import late

if TYPE_CHECKING:
    import tempfile
else:
    tempfile = late("tempfile")

_PLAIN: Final = ("--quiet", "--no-header", "--no-annotate")


def resolve(request: Request, target: Target) -> Lock:
    """The distributions that meet a request, with their hashes.

    Raises:
        DefinitionError: Nothing meets it, or a lock is for another target.
        ExecutorError: No package index answered.
        ConfigError: There is no uv.
    """
    if request.lock is not None:
        if request.lock.target != target:
            raise DefinitionError(
                f"The {request.where} names the lock '{request.file}', which is for {request.lock.target}, and the task runs with {target}. "
                "Make one for that: pyflow env lock --python … --platform …"
            )
        return request.lock
    if request.kind == "project":
        return Lock(target, _export(request, target))
    with tempfile.TemporaryDirectory(prefix="pyflow-env-") as folder:
        arguments = ["pip", "compile", *_PLAIN, "--generate-hashes", *_fit(target)]
        if request.kind == "list":
            source = Path(folder) / "packages.in"
            source.write_text("\n".join(request.lines) + "\n", encoding="utf-8")
        else:
            assert request.file is not None
            source = request.file
        if request.constraints:
            versions = Path(folder) / "constraints.txt"
            versions.write_text("\n".join(request.constraints) + "\n", encoding="utf-8")
            arguments += ["--constraints", str(versions)]
        return Lock(target, run_uv([*arguments, str(source)], request, target, doing="choose"))


def install(lock: Lock, request: Request, into: Path) -> None:
    """Install what a lock says into an empty folder; a file that has not one of its hashes is refused.

    Raises:
        PyflowError: As ``resolve``.
    """
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pyflow-env-") as folder:
        source = Path(folder) / "lock.txt"
        # Where packages come from is the author's file's to say, and stays out of the lock.
        source.write_text("\n".join([*request.index_lines(), lock.requirements]), encoding="utf-8")
        arguments = ["pip", "install", "--quiet", "--target", str(into), *_fit(lock.target)]
        run_uv([*arguments, "--require-hashes", "--no-deps", "-r", str(source)], request, lock.target, doing="install")


def _fit(target: Target) -> list[str]:
    """What makes uv look at the target and not at this machine; nothing is built here."""
    return [
        "--python", sys.executable,
        "--python-version", target.python,
        "--python-platform", target.uv_platform,
        "--only-binary", ":all:",
    ]  # fmt: skip


def _export(request: Request, target: Target) -> str:
    """The packages in a project's own lock; the project itself travels as code."""
    arguments = ["export", *_PLAIN, "--locked", "--no-emit-local", "--no-dev", "--format", "requirements.txt"]
    return run_uv(
        [*arguments, "--python", sys.executable, "--project", str(request.folder)], request, target, doing="read"
    )

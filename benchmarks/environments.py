"""A virtual environment for each peer, made once and kept.

What a peer needs is written in the peer's own script (inline metadata, PEP 723). An environment is named after
a digest of that and of the Python it is made with, so that a change makes a new one. pyflow's own is brought up
to date with the source tree each time: a plain installation, as a user would have it, not an editable one.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYFLOW_BESIDE = ("numpy>=2",)
"""What the tasks of the pyflow peer import themselves."""


class NotInstalledError(Exception):
    """An environment could not be made; the message is the installer's last word."""


@dataclass(frozen=True)
class Environments:
    """Environments below one folder."""

    folder: Path

    def for_script(self, script: Path) -> Path:
        """The interpreter of the environment that a script's inline metadata asks for.

        Raises:
            NotInstalledError: Its packages cannot be had here.
        """
        wanted = requirements(script)
        digest = hashlib.sha256(json.dumps([wanted, sys.version]).encode()).hexdigest()[:12]
        home = self.folder / f"{script.stem}-{digest}"
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            make(home, wanted)
            (home / "complete").touch()
        return interpreter(home)

    def for_pyflow(self) -> Path:
        """The interpreter of an environment with pyflow as the source tree has it now.

        Raises:
            NotInstalledError: The source tree cannot be installed.
        """
        home = self.folder / f"pyflow-{hashlib.sha256(f'{ROOT}{sys.version}'.encode()).hexdigest()[:12]}"
        if not interpreter(home).exists():
            make(home, [])
        install(home, [*PYFLOW_BESIDE, str(ROOT)], fresh="pyflow-tasks")
        return interpreter(home)


def requirements(script: Path) -> list[str]:
    """The dependencies in a script's inline metadata."""
    found = re.search(r"^# dependencies = (\[.*\])$", script.read_text(encoding="utf-8"), re.MULTILINE)
    return [] if found is None else list(json.loads(found[1]))


def interpreter(home: Path) -> Path:
    """Where an environment keeps its Python."""
    return home / "bin" / "python"


def make(home: Path, wanted: list[str]) -> None:
    """Make an environment and install into it."""
    uv = shutil.which("uv")
    if uv is not None:
        run([uv, "venv", "--quiet", "--python", sys.executable, str(home)])
    else:
        run([sys.executable, "-m", "venv", str(home)])
    if wanted:
        install(home, wanted)


def install(home: Path, wanted: list[str], *, fresh: str | None = None) -> None:
    """Install requirements, compiled; `fresh` names one that is built again even if its version is there."""
    uv = shutil.which("uv")
    if uv is not None:
        again = [] if fresh is None else ["--reinstall-package", fresh]
        run(
            [uv, "pip", "install", "--quiet", "--compile-bytecode", *again, "--python", str(interpreter(home)), *wanted]
        )
        return
    pip = [str(interpreter(home)), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if fresh is not None:
        run([*pip, "uninstall", "--yes", fresh])
    run([*pip, "install", *wanted])


def run(words: list[str]) -> None:
    """Run an installer.

    Raises:
        NotInstalledError: It failed.
    """
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise NotInstalledError(f"{Path(words[0]).name}: {' '.join(said)[-300:]}")

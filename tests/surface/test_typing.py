"""mypy sees through the decorators: signatures stay, and a misspelt option is an error in the editor."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pyflow

SAMPLES = Path(__file__).with_name("typing")
_SAID = re.compile(r"(?P<file>\w+\.py):(?P<line>\d+): error: (?P<message>.*?)  \[(?P<code>[\w-]+)\]")
_WANTED = re.compile(r"# error: (?P<codes>[\w|-]+)$")


def said_by_mypy(repo: Path) -> dict[tuple[str, int], dict[str, str]]:
    """For each file and line with errors: their codes and messages."""
    samples = [str(path) for path in sorted(SAMPLES.glob("*.py"))]
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(repo / "pyproject.toml"), *samples]
    # Overloads fail as one; the decorated function then has no type, which mypy says on the same line.
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    said: dict[tuple[str, int], dict[str, str]] = {}
    for match in _SAID.finditer(done.stdout):
        said.setdefault((match["file"], int(match["line"])), {})[match["code"]] = match["message"]
    return said


def wanted_by_samples() -> dict[tuple[str, int], set[str]]:
    """For each file and line with a comment ``# error: CODE|CODE``: the codes."""
    wanted = {}
    for path in SAMPLES.glob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            match = _WANTED.search(line)
            if match:
                wanted[path.name, number] = set(match["codes"].split("|"))
    return wanted


@pytest.mark.slow
def test_samples(repo: Path) -> None:
    """Right samples have no error, wrong ones have the expected error on the expected line."""
    pytest.importorskip("mypy")
    if not hasattr(pyflow, "__all__"):
        pytest.skip("the public names are not built yet")
    said, wanted = said_by_mypy(repo), wanted_by_samples()
    surprising = {place: errors for place, errors in said.items() if place not in wanted}
    missing = {place: codes for place, codes in wanted.items() if not codes & said.get(place, {}).keys()}
    assert (surprising, missing) == ({}, {})

"""The folder that uv made, without what is of this machine or moment: the same lock gives the same files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# What an installer notes of itself; ``direct_url.json`` may hold the address that a wheel came from.
_NOTES: Final = frozenset({"INSTALLER", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"})
_OWN_FILES: Final = frozenset({".lock", ".gitignore", "CACHEDIR.TAG"})
_SHEBANG: Final = re.compile(rb"\A#!.*python[^\n]*\n")
SCRIPTS: Final = "bin"


def tidy(folder: Path) -> None:
    """Remove and rewrite what would differ elsewhere: notes of the installer, and the first lines of scripts."""
    for name in _OWN_FILES:
        (folder / name).unlink(missing_ok=True)
    scripts = folder / SCRIPTS
    for script in scripts.iterdir() if scripts.is_dir() else ():
        text = script.read_bytes() if script.is_file() else b""
        if _SHEBANG.match(text):
            script.write_bytes(_SHEBANG.sub(b"#!/usr/bin/env python3\n", text))
    for info in folder.glob("*.dist-info"):
        for name in _NOTES:
            (info / name).unlink(missing_ok=True)
        record = info / "RECORD"
        if record.is_file():
            lines = record.read_text(encoding="utf-8").splitlines()
            record.write_text("".join(f"{line}\n" for line in _kept(lines)), encoding="utf-8")


def _kept(lines: list[str]) -> Iterator[str]:
    """The lines of a RECORD: those of removed files left out, those of changed files without hash and size."""
    for line in sorted(lines):
        path = line.partition(",")[0].strip('"')
        if path.rpartition("/")[2] in _NOTES and ".dist-info/" in path:
            continue
        yield f"{path},," if path.startswith(f"{SCRIPTS}/") or "../" in path else line

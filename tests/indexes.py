"""The package index, for tests that take packages from it by the ordinary client."""

from __future__ import annotations

import subprocess
from functools import lru_cache

import pytest

from pyflow.environments.uv import find_uv


@lru_cache(maxsize=1)
def why_not() -> str:
    """Why no package can be had; empty when one can."""
    asked = subprocess.run(
        [find_uv(), "pip", "compile", "--quiet", "--no-header", "-"],
        input="iniconfig==2.0.0", capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return asked.stderr[-200:] or "uv failed" if asked.returncode else ""


def need_index() -> None:
    """Skip the test, with a word, where no package index answers."""
    if reason := why_not():
        pytest.skip(f"no package index answers: {reason}")

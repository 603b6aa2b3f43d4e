"""What holds for every test: its own working directory, and no settings from outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test runs in a folder of its own, so the default store is its own, and sees no PYFLOW_* variable."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("PYFLOW_") and not name.startswith("PYFLOW_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def repo() -> Path:
    """The folder that holds ``pyproject.toml``."""
    return Path(__file__).parents[1]

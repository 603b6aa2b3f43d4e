"""What holds for every test: its own working directory, and no settings from outside."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase
from servers import deaf, moto, seaweed  # noqa: F401  fixtures

REPO = Path(__file__).parents[1]

# No test is about time, and what was found in a test's own folder would be forgotten with it. Where CI is
# set, hypothesis takes a profile of its own: the same examples each time.
hypothesis.settings.register_profile(
    "here", deadline=None, database=DirectoryBasedExampleDatabase(REPO / ".hypothesis" / "examples")
)
if "CI" not in os.environ:
    hypothesis.settings.load_profile("here")


@pytest.fixture(scope="session")
def config_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for configuration that all tests have in place of the user's own: the key that signs lies there."""
    return tmp_path_factory.mktemp("config")


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, config_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test runs in a folder of its own, so the default store is its own, and sees no PYFLOW_* variable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config_home))
    for name in list(os.environ):
        if name.startswith("PYFLOW_") and not name.startswith("PYFLOW_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def repo() -> Path:
    """The folder that holds ``pyproject.toml``."""
    return REPO

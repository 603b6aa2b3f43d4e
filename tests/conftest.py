"""What holds for every test: its own working directory, and no settings from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
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


@pytest.fixture(scope="session", autouse=True)
def _config_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All tests have a folder for configuration in place of the user's own: the key that signs lies there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


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
    return REPO

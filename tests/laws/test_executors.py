"""Every executor keeps the same laws: same pipelines, same values, same errors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyflow.testing import Stage, executor_laws


@pytest.fixture(scope="module")
def _folder(tmp_path_factory):
    """One working folder for all laws, so that workers can be used again."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("work"))
    yield
    os.chdir(before)


@pytest.fixture(autouse=True)
def _alone(_folder, monkeypatch):
    """Instead of a folder for each test."""
    for name in [name for name in os.environ if name.startswith("PYFLOW_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("executor", ["inprocess", "local"])
@pytest.mark.parametrize("law", executor_laws(), ids=lambda law: law.__name__)
def test_executor_keeps_the_law(tmp_path, monkeypatch, executor, law):
    """The same pipelines give the same values and the same errors everywhere."""
    # It differs from test to test, and a worker is only used again for the same environment.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    shared = tmp_path / "shared"
    shared.mkdir()
    law(Stage(executor=executor, store=str(tmp_path / "store"), shared=shared, has_processes=executor != "inprocess"))

"""The executor ``argo`` keeps the laws of all executors, on a real cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from argo_world import ArgoStage, needs_argo, new_store, pyproject

from pyflow.testing import executor_laws

pytestmark = [*needs_argo, pytest.mark.timeout(600)]


@pytest.mark.parametrize("law", executor_laws(), ids=lambda law: law.__name__)
def test_argo_keeps_the_law(tmp_path, monkeypatch, law):
    """The same pipelines give the same values and the same errors as everywhere."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    pyproject(Path.cwd())
    shared = tmp_path / "shared"
    shared.mkdir()
    for folder in (shared, *list(shared.parents)[:-2]):
        folder.chmod(0o777)  # pods run as somebody else
    law(ArgoStage(executor="argo", store=new_store(), shared=shared, has_processes=True))

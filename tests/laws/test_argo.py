"""The executor ``argo`` keeps the laws of all executors, on a real cluster."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from argo_world import ArgoStage, needs_argo, new_store, pyproject

from pyflow.testing import NotAskedError, executor_laws

pytestmark = [*needs_argo, pytest.mark.timeout(600)]

IN_CI = {
    "a_call_gives_the_value",
    "items_may_be_known_at_run_time",
    "one_side_of_a_condition_runs",
    "the_error_is_the_authors",
}
"""A pod costs a second and more of the machine, so all laws are tried by ``PYFLOW_TEST_ARGO_LAWS=1 pytest tests/laws/test_argo.py``."""
LAWS = [law for law in executor_laws() if law.__name__ in IN_CI or os.environ.get("PYFLOW_TEST_ARGO_LAWS")]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_argo_keeps_the_law(tmp_path, monkeypatch, law):
    """The same pipelines give the same values and the same errors as everywhere."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    pyproject(Path.cwd())
    shared = tmp_path / "shared"
    shared.mkdir()
    for folder in (shared, *list(shared.parents)[:-2]):
        folder.chmod(0o777)  # pods run as somebody else
    stage = ArgoStage(
        executor="argo", store=new_store(), shared=shared, has_processes=True, sees_caller=False, is_item_by_item=False,
        meaningless=("network", "none"), patience_s=100,
    )  # fmt: skip
    try:
        law(stage)
    except NotAskedError as reason:
        pytest.skip(str(reason))

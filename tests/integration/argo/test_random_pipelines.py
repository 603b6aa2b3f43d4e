"""Random pipelines (maps, nested maps, branches, order, failures, retries) do on a real cluster what the reference says."""

from __future__ import annotations

import os

import pytest
from argo_world import ArgoStage, needs_argo, new_store
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from property import programs
from property.comparison import check
from property.random_programs import program, size

pytestmark = [*needs_argo, pytest.mark.timeout(3000)]

EXAMPLES = int(os.environ.get("PYFLOW_TEST_ARGO_EXAMPLES", "5"))
"""Each is some ten pods, and nobody wants to see a failing one made smaller by some hundred more."""


@pytest.fixture
def stage(tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)  # pods run as somebody else
    monkeypatch.setattr(programs, "COUNTS", shared)
    return ArgoStage(executor="argo", store=new_store(), shared=shared, has_processes=True)


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(st.data())
def test_argo_agrees_with_the_reference(stage, data):
    """Values, or all failures in the order of the trace, are those of the reference."""
    drawn = data.draw(program.filter(lambda statements: 4 <= size(statements) <= 9))
    check(drawn, lambda made: stage.start(made, 5), fail_fast=data.draw(st.booleans()), patience_s=400)

"""Every executor keeps the same laws: same pipelines, same values, same errors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyflow.images import has_engine
from pyflow.testing import NotAskedError, Stage, executor_laws


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
    stage = Stage(
        executor=executor, store=str(tmp_path / "store"), shared=shared, has_processes=executor != "inprocess"
    )
    try:
        law(stage)
    except NotAskedError as reason:
        pytest.skip(str(reason))


# Each takes a container for every task, so these few stand for all.
IN_CONTAINERS = {
    "a_call_gives_the_value",
    "every_structure_is_returned",
    "a_task_may_return_nothing",
    "results_are_found_in_structures",
    "one_result_for_two_arguments_is_one_object",
    "inputs_are_the_tasks_own",
    "async_functions_run_to_their_end",
    "a_result_is_unpacked",
    "a_timeout_ends_children_too",
}


@pytest.mark.docker
@pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")
@pytest.mark.parametrize(
    "law", [law for law in executor_laws() if law.__name__ in IN_CONTAINERS], ids=lambda law: law.__name__
)
def test_containers_keep_the_law(tmp_path, monkeypatch, law):
    """The same pipelines give the same values and the same errors in containers."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    # The store's folder is what containers see of this machine.
    shared = tmp_path / "store" / "shared"
    shared.mkdir(parents=True)
    stage = Stage(
        executor="docker", store=str(tmp_path / "store"), shared=shared, has_processes=True, sees_caller=False,
        meaningless=("disk", "1Gi"),
    )  # fmt: skip
    law(stage)

"""Every executor keeps the same laws: same pipelines, same values, same errors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from argo_world import LAWS_IMAGE, build_laws_image

from pyflow import configure
from pyflow.config import reset
from pyflow.images import has_engine, open_engine
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


IN_CI = {
    "a_body_may_call_nothing",
    "a_task_may_return_nothing",
    "wrong_arguments_stop_a_run_before_it_starts",
    "parts_of_results_are_taken",
    "a_result_is_unpacked",
    "a_wrong_number_of_outputs_fails_the_task",
    "results_are_found_in_structures",
    "one_result_for_two_arguments_is_one_object",
    "inputs_are_the_tasks_own",
    "async_functions_run_to_their_end",
    "a_task_may_call_tasks",
    "pipelines_call_pipelines",
    "closures_and_globals_travel",
    "local_modules_travel",
    "what_cannot_be_mapped_is_told",
    "an_empty_map_gives_an_empty_list",
    "unequal_lengths_are_an_error",
    "order_is_kept_whatever_ends_first",
    "a_failing_item_does_not_stop_its_batch",
    "items_of_a_batch_are_tried_again_alone",
    "the_traceback_is_the_authors",
    "the_notes_say_where_to_look",
    "the_cause_is_kept",
    "a_result_that_cannot_be_stored_fails_its_task",
    "an_argument_that_cannot_be_stored_stops_the_run",
    "exits_are_not_tried_again",
    "a_timeout_ends_children_too",
    "a_failure_stops_what_comes_after",
    "the_first_failure_in_order_is_told",
    "failures_of_a_wide_map_fit_a_screen",
    "an_error_in_a_batch_of_retries_keeps_its_type",
    "definitions_are_checked_before_a_run",
    "tasks_stand_where_the_caller_stands",
    "workers_can_be_used_again",
    "env_is_set_for_its_task_only",
    "what_is_printed_is_kept",
    "each_attempt_has_its_log",
    "output_of_any_kind_is_kept",
    "files_travel_between_tasks",
    "folders_travel_between_tasks",
    "a_path_given_to_a_pipeline_is_uploaded",
    "options_without_a_meaning_are_told",
    "a_run_can_be_cancelled",
}
"""A container for each task takes most of a second, so all laws are tried by ``PYFLOW_TEST_DOCKER_LAWS=1 pytest tests/laws/test_executors.py -k container``."""
ALL = "PYFLOW_TEST_DOCKER_LAWS" in os.environ
LAWS = [law for law in executor_laws() if law.__name__ in IN_CI or ALL]


@pytest.fixture(scope="module")
def image():
    """For all laws, the runtime image on a base with the packages that some of them use."""
    if not ALL:
        yield
        return
    configure(docker={"base": build_laws_image()})
    yield
    reset()
    engine = open_engine()
    for found in engine.api.images(filters={"label": f"pyflow.base={LAWS_IMAGE}"}):
        engine.api.remove_image(found["Id"], force=True)
    engine.close()


@pytest.mark.docker
@pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.usefixtures("image")
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
    try:
        law(stage)
    except NotAskedError as reason:
        pytest.skip(str(reason))

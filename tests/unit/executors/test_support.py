"""Options that a place cannot honour are told before anything runs: with a warning, or by refusing the run."""

from __future__ import annotations

import platform
import re
import warnings

import pytest

from pyflow import Volume, pipeline, task
from pyflow.api import list_runs
from pyflow.errors import ExecutorError, UnsupportedOptionWarning
from pyflow.executors import SUPPORT, machine_cpus
from pyflow.executors.support import WHY, check_options
from pyflow.graph import OptionArgs
from pyflow.packing import pack
from pyflow.store import ContentStore, Keys, open_blobs

VALUES = {
    "name": "fit-large", "retries": 1, "backoff": "1s", "retry_on": OSError, "timeout": "1h", "env": {"A": "b"}, "outputs": 2,
    "labels": {"team": "x"}, "batch": 2, "cpus": 0.5, "memory": "1Mi", "memory_on_oom": "2Gi", "gpus": 1, "disk": "1Gi",
    "packages": ["six"], "image": "python:3", "python": ".".join(platform.python_version_tuple()[:2]),
    "platform": "linux/amd64", "network": "none", "volumes": {"/mnt/data": Volume.named("data")},
    "node_selector": {"gpu": "a100"}, "tolerations": [{"key": "gpu"}], "service_account": "reader",
    "pod_patch": {"hostNetwork": True}, "run_as_root": True, "writable_root": True,
}  # fmt: skip


@task
def fit(x):
    return x


@task
def report(outcome):
    return outcome.status


@pytest.fixture
def graph_with(tmp_path):
    """Packs a pipeline that maps one task with these options."""

    def packed(**options):
        content = ContentStore(open_blobs(tmp_path / "store"), Keys("p", "o"))
        return pack(pipeline(lambda: fit.with_options(**options).map([1])).trace(), content).graph

    return packed


def test_each_option_is_tried():
    """The values below are of all options that there are."""
    assert VALUES.keys() == SUPPORT.keys() == OptionArgs.__annotations__.keys()


@pytest.mark.parametrize(
    ("option", "executor"), [(option, executor) for option, row in SUPPORT.items() for executor in row]
)
def test_what_is_not_honoured_is_told_as_the_table_says(graph_with, option, executor):
    """Whatever is left out is named with its task and the reason; a refusal is an error, the rest a warning or nothing."""
    needed = {"memory": "1Gi"} if option == "memory_on_oom" else {}
    said = {"warned": "", "refused": ""}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check_options(graph_with(**{option: VALUES[option]}, **needed), executor)
        except ExecutorError as error:
            said["refused"] = str(error)
    said["warned"] = "".join(str(w.message) for w in caught if w.category is UnsupportedOptionWarning)
    task_name = VALUES["name"] if option == "name" else "fit"
    told = f"option {option!r} of {task_name!r}: {WHY.get((option, executor), '')}"
    assert {kind for kind, text in said.items() if told in text} == {SUPPORT[option][executor]} - {"honoured"}


def test_all_that_stands_against_a_run_is_said_at_once(graph_with):
    """What is refused is told alone, without warnings about what would have been left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ExecutorError, match="'volumes'"):
            check_options(graph_with(volumes=VALUES["volumes"], gpus=1), "local")


def test_more_than_the_machine_has_is_refused_before_the_run_starts():
    """``cpus`` and ``memory`` of tasks, of items of maps and of the exit handler: each is named, with what there is."""
    many = int(machine_cpus()) + 62

    @pipeline(on_exit=report.with_options(cpus=many))
    def greedy():
        return fit.with_options(memory="999Ti").map([1, 2]), fit.with_options(cpus=many, name="one")(1)

    with pytest.raises(ExecutorError) as caught:
        greedy.with_options(executor="local")()
    assert re.fullmatch(
        rf"Task 'fit' asks for 1047527424 MiB of memory, and this machine has \d+\. "
        rf"Task 'one' asks for cpus={many}, and this machine has {machine_cpus():g}\. "
        rf"Task 'report' asks for cpus={many}, and this machine has {machine_cpus():g}\. "
        r"Ask for less, or use an executor with larger machines\.",
        str(caught.value),
    )
    assert list_runs() == []

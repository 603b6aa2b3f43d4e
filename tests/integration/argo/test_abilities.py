"""What a run on a real cluster can do beside running: packages of its own, a clock, a doctor, a notebook that looks at it."""

from __future__ import annotations

import json

import nbformat
import pytest
from argo_world import needs_argo, project, pyflow, until
from nbclient import NotebookClient

from pyflow.api import list_runs

pytestmark = [*needs_argo, pytest.mark.timeout(400)]

FLOW = """
    from pyflow import pipeline, task

    @task(packages=["iniconfig==2.0.0"])
    def version():
        import iniconfig
        from importlib.metadata import version
        return version("iniconfig"), list(iniconfig.IniConfig("x", data="[a]"))[0].name

    @task
    def without():
        try:
            import iniconfig
        except ImportError:
            return "not there"

    @task
    def double(x):
        return 2 * x

    @pipeline
    def packed():
        return version(), without()

    @pipeline(name="by-the-clock")
    def timed(x: int):
        return double(x)
"""


@pytest.fixture
def flows(tmp_path, monkeypatch):
    return project(tmp_path, monkeypatch, FLOW)


def test_packages_come_along(flows):
    """A task in a stock image has the packages that it names, resolved here, and another task has none of them."""
    assert flows.packed() == (("2.0.0", "a"), "not there")


def test_the_clock_starts_runs(flows):
    """A schedule fires, and the run is listed and has its value like any other."""
    kept = flows.timed.deploy(schedule="* * * * *", values={"x": 21})
    try:
        until(list_runs, 150)
    finally:
        kept.remove()
    run = list_runs()[-1]
    assert run.wait(200) == "succeeded"
    assert run.result() == 42


def test_the_doctor_tries_it_with_a_pod(flows):
    """All that a run needs is looked at, the last of it by a run, and the command ends well."""
    done = pyflow("doctor", "--executor", "argo")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert all(line.startswith("✓") for line in lines), done.stdout
    assert "a task ran in a pod, its result came back signed" in lines[-1]


def test_a_notebook_shows_a_manifest_as_json(flows, tmp_path):
    """``compile`` on the last line of a cell gives a tree to open and close, and asks the cluster for nothing."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import flows\nflows.timed.compile(21)")])
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = book.cells[0].outputs
    assert output.data["application/json"]["kind"] == "Workflow"
    assert json.loads(output.data["text/plain"]) == output.data["application/json"]

"""What ``pyflow show`` says of a run that goes on at a cluster."""

from __future__ import annotations

import time

import pytest
from fake_cluster import FakeCluster, pod

from pyflow import pipeline, task
from pyflow.api import Run
from pyflow.cli.show import Report
from pyflow.errors import UnreachableError
from pyflow.executors.argo import ArgoExecutor, ArgoSettings
from pyflow.packing import pack
from pyflow.runs import RunRecord
from pyflow.store import ContentStore, Keys, open_blobs


@task
def fit(x):
    return x


@pipeline
def flow():
    return fit(1)


class Scene:
    """A run that somebody submitted from here, and who asks how it is."""

    def __init__(self, folder):
        self.content = ContentStore(open_blobs(folder / "store"), Keys("p", "o"))
        packed = pack(flow.trace(), self.content)
        self.cluster = FakeCluster()
        metadata = self.cluster.create({"metadata": {"generateName": "flow-"}, "spec": {}})["metadata"]
        self.name = metadata["name"]
        self.record = RunRecord(
            run_id=metadata["uid"], pipeline="flow", executor="argo", graph_digest=packed.digest,
            graph_size=packed.size_bytes, started_at=time.time(), pyflow_version="1", python="3.11", host="elsewhere",
            pid=1, pid_started="1", place={"namespace": "team", "workflow": self.name},
        )  # fmt: skip
        self.folder = folder

    def run(self):
        """A handle, as a process has it that was just started."""
        executor = ArgoExecutor(ArgoSettings(), lambda _job, _settings: {}, cluster=self.cluster)
        return Run(self.content, self.record, self.folder, remote=lambda: executor)

    def shown(self):
        run = self.run()
        report = Report(run, run.view())
        return report.head()[4:], report.tree(), report.to_wire()


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def test_a_run_that_can_be_asked_for_is_not_out_of_sight(scene):
    """Whoever started it where, the cluster says that it goes on."""
    scene.cluster.set_status(scene.name, "Running", pod(0, "Running"))
    explained, _, wire = scene.shown()
    assert explained == []
    assert wire["explanation"] is None


def test_why_its_pod_waits_is_shown_by_whoever_looks(scene):
    """With what would help, below the task; no longer when it runs."""
    scene.cluster.set_status(
        scene.name, "Running", pod(0, "Pending", 'CreateContainerConfigError: secret "x" not found')
    )
    _, tree, wire = scene.shown()
    assert 'secret "x" not found. A Secret or ConfigMap that the pod names is not there' in tree[1]
    assert tree[1].strip().startswith("waits, seen for")
    assert 'secret "x" not found' in wire["nodes"][0]["waits"]
    scene.cluster.set_status(scene.name, "Running", pod(0, "Running"))
    _, tree, wire = scene.shown()
    assert len(tree) == 1
    assert wire["nodes"][0]["waits"] is None


def test_a_run_that_was_asked_to_end_says_so(scene):
    """Until it has."""
    scene.cluster.set_status(scene.name, "Running", pod(0, "Running"))
    scene.run().cancel()
    assert scene.shown()[0] == ["  It was asked to end; what runs is being ended."]


def test_a_cluster_that_cannot_be_asked_is_told(scene):
    """In the words of who could not ask."""
    scene.cluster.fails = UnreachableError("The cluster did not answer.")
    (line,) = scene.shown()[0]
    assert line.strip().startswith("The cluster did not answer. The run goes on")

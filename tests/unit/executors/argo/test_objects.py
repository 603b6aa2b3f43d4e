"""Workflow objects: names that make a repeated creation harmless, statuses in all their packings, pods by name."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from pyflow.errors import ExecutorError
from pyflow.executors.argo.objects import hydrated, is_same_submission, with_name
from pyflow.executors.argo.workflow import pod_name, pod_nodes

NODES = {
    "train-x1-77": {
        "id": "train-x1-77", "name": "train-x1.a(0)", "displayName": "a(2)", "type": "Pod", "templateName": "task",
        "phase": "Failed", "message": "Error (exit code 70)", "outputs": {"exitCode": "70"},
        "inputs": {"parameters": [{"name": "node", "value": "3"}]},
    },
    "train-x1": {"id": "train-x1", "name": "train-x1", "type": "DAG", "phase": "Running"},
}  # fmt: skip


def test_a_name_is_made_once_and_tells_submissions_apart():
    """A second request for the same object is known for what it is; another object of that name is not."""
    manifest = {"metadata": {"generateName": "train-", "labels": {"a": "b"}}}
    mine, other = (with_name(manifest, "team", "blue") for _ in range(2))
    assert mine["metadata"]["name"].startswith("train-")
    assert mine["metadata"]["namespace"] == "team"
    assert mine["metadata"]["labels"] == {"a": "b", "workflows.argoproj.io/controller-instanceid": "blue"}
    assert is_same_submission(mine, json.loads(json.dumps(mine)))
    assert not is_same_submission(mine, other)
    assert manifest == {"metadata": {"generateName": "train-", "labels": {"a": "b"}}}


def test_nodes_that_were_compressed_are_read():
    """Argo packs the nodes of large workflows to stay below the limit of an object."""
    packed = base64.b64encode(gzip.compress(json.dumps(NODES).encode())).decode()
    workflow = hydrated({"metadata": {"name": "train-x1"}, "status": {"compressedNodes": packed}})
    (pod,) = pod_nodes(workflow)
    assert (pod.exit_code, pod.attempt, pod.parameters, pod.pod) == (70, 3, {"node": "3"}, "train-x1-task-77")


def test_nodes_that_lie_elsewhere_are_told():
    """The Kubernetes API cannot show what Argo keeps in its own database."""
    with pytest.raises(ExecutorError, match="Use the Argo Server"):
        hydrated({"metadata": {"name": "w"}, "status": {"offloadNodeStatusVersion": "fnv:1"}})


def test_pods_are_called_as_argo_calls_them():
    """The workflow's only pod has its name; others have the template's and the hash of the node's between."""
    assert pod_name("w", "w", "main", "w") == "w"
    assert pod_name("w", "w.a", "task", "w-123") == "w-task-123"
    assert len(pod_name("w" * 63, "w.a", "t" * 250, "w-4294967295")) == 253

"""A workflow on the cluster → the record that its first pod will write, for whoever asks before there is one.

Argo's page, its command and its clock start workflows without pyflow, and a pod may wait for long, or never start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from pyflow.contract import Home
from pyflow.errors import NotFoundError
from pyflow.executors.argo.cluster import Cluster
from pyflow.executors.argo.failure import MissingError
from pyflow.executors.argo.text import decoded
from pyflow.jsontext import Json
from pyflow.packed import PackedGraph
from pyflow.runs import RunRecord, given_text
from pyflow.store import ContentStore

_MOST_LISTED: Final = 500
_UNKNOWN: Final = "unknown"


def unrecorded(cluster: Cluster, run_id: str, home: Home, content: ContentStore) -> RunRecord | None:
    """The record of a run by the uid of its workflow. It is not kept: who believes what a cluster says is for a pod to say.

    Returns:
        None when the cluster has no such workflow, or when it keeps its results elsewhere.
    """
    listed = (one["metadata"] for one in cluster.list(limit=_MOST_LISTED))
    name = next((metadata["name"] for metadata in listed if metadata.get("uid") == run_id), None)
    if name is None:
        return None
    try:
        workflow = cluster.get(name)
        told = _told(_manifest(cluster, workflow))
        if told is None or Home.from_wire(told).to_wire() != home.to_wire():
            return None
        graph = PackedGraph.from_bytes(content.read_blob(told["graph"], told["size"]))
    except (MissingError, NotFoundError):
        return None
    metadata = workflow["metadata"]
    return RunRecord(
        run_id=run_id,
        pipeline=graph.name,
        executor="argo",
        graph_digest=told["graph"],
        graph_size=told["size"],
        started_at=datetime.fromisoformat(metadata["creationTimestamp"].replace("Z", "+00:00")).timestamp(),
        pyflow_version=_UNKNOWN,
        python=_UNKNOWN,
        host=name,
        pid=0,
        pid_started="",
        arguments=content.guard.masked(given_text(_given(workflow))),
        place={"namespace": metadata["namespace"], "workflow": name},
    )


def _manifest(cluster: Cluster, workflow: Json) -> Json:
    """The spec of what runs: the workflow's own, or of the template that it was made of, as the controller has read it."""
    reference = workflow["spec"].get("workflowTemplateRef")
    if reference is None:
        return workflow["spec"]
    stored = (workflow.get("status") or {}).get("storedWorkflowTemplateSpec")
    return stored or cluster.read("WorkflowTemplate", reference["name"])["spec"]


def _told(spec: Json) -> Json:
    """What its pods are told of store and graph; None where they are not pyflow's."""
    words = (one["value"] for one in _variables(spec) if one["name"] == "PYFLOW_POD")
    word = next(words, None)
    return None if word is None else decoded(word)


def _variables(spec: Json) -> Iterator[Json]:
    for template in spec.get("templates") or []:
        containers = [template.get("container"), *template.get("initContainers", []), *template.get("sidecars", [])]
        for container in containers:
            yield from (container or {}).get("env") or []


def _given(workflow: Json) -> Mapping[str, str]:
    parameters = (workflow["spec"].get("arguments") or {}).get("parameters") or []
    return {one["name"]: str(one.get("value", "")) for one in parameters}

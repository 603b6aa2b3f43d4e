"""Both ways to a cluster do the same, tried on a real one: the Argo Server with a user's token, and the Kubernetes API."""

from __future__ import annotations

import os
import time

import pytest

from pyflow.errors import AccessDeniedError, ConfigError, ExecutorError, UnreachableError
from pyflow.executors.argo import Right, argo_settings, open_cluster
from pyflow.executors.argo.failure import MissingError
from pyflow.executors.argo.objects import with_name
from pyflow.executors.argo.workflow import FINAL, message_of, phase_of, pod_nodes

pytestmark = [
    pytest.mark.argo,
    pytest.mark.skipif("ARGO_SERVER" not in os.environ, reason="no cluster with Argo: see CONTRIBUTING.md"),
]


def cluster_by(api, **table):
    return open_cluster(argo_settings({"api": api, **table}, os.environ))


@pytest.fixture(params=["server", "kubernetes"])
def cluster(request):
    return cluster_by(request.param)


def manifest(command="true", *, kind="Workflow", name=None, **spec):
    template = {"name": "main", "container": {"image": "busybox:1.36", "command": ["sh", "-c", command]}}
    spec = {"serviceAccountName": "workflow", "entrypoint": "main", "templates": [template], **spec}
    metadata = {"generateName": "client-"} if name is None else {"name": name}
    body = {"schedules": ["0 6 * * *"], "workflowSpec": spec} if kind == "CronWorkflow" else spec
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": body}


def ended(cluster, name, within_s=60):
    end = time.monotonic() + within_s
    while phase_of(found := cluster.get(name)) not in FINAL:
        assert time.monotonic() < end, found.get("status")
        time.sleep(0.5)
    return found


def test_a_workflow_is_created_followed_read_and_deleted(cluster):
    """Its pod is found by name, its log has no words of Argo's own, and after the deletion it is missing."""
    cluster.lint(manifest())
    name = cluster.create(manifest("echo hello; echo world"))["metadata"]["name"]
    (pod,) = pod_nodes(ended(cluster, name))
    assert (pod.phase, pod.exit_code) == ("Succeeded", 0)
    assert list(cluster.logs(name, pod.pod)) == ["hello", "world"]
    assert name in [found["metadata"]["name"] for found in cluster.list()]
    cluster.delete(name)
    with pytest.raises(MissingError, match="not found"):
        cluster.get(name)


def test_a_creation_whose_answer_was_lost_is_made_once(cluster):
    """Asked again with the same object, the cluster says that it is there, and it is known for ours."""
    mine = with_name(manifest(suspend=True), cluster.namespace)
    is_server = type(cluster).__name__ == "ArgoServer"
    arguments = (
        (cluster._workflows(), {"workflow": mine}, mine, "create") if is_server else ("Workflow", mine, "create")
    )
    first, second = cluster._create_once(*arguments), cluster._create_once(*arguments)
    assert first["metadata"]["uid"] == second["metadata"]["uid"]
    other = with_name({**mine, "metadata": {"name": mine["metadata"]["name"]}}, cluster.namespace)
    with pytest.raises(ExecutorError, match="already exists"):
        cluster.create(other)
    cluster.delete(mine["metadata"]["name"])


def test_a_stopped_workflow_runs_its_exit_handler(cluster):
    """That is why cancelling stops a workflow and does not terminate it."""
    template = {"name": "bye", "container": {"image": "busybox:1.36", "command": ["true"]}}
    asked = manifest("sleep 60", onExit="bye")
    asked["spec"]["templates"].append(template)
    name = cluster.create(asked)["metadata"]["name"]
    while not any(pod.phase == "Running" for pod in pod_nodes(cluster.get(name))):
        time.sleep(0.3)
    cluster.stop(name)
    found = ended(cluster, name)
    assert {pod.template: pod.phase for pod in pod_nodes(found)} == {"main": "Failed", "bye": "Succeeded"}
    assert "Stopped" in message_of(found)
    cluster.delete(name)


def test_templates_and_schedules_are_made_and_replaced(cluster):
    """Parameters reach a workflow of a template unchanged, whatever is in them."""
    for kind in ("WorkflowTemplate", "CronWorkflow"):
        arguments = {"parameters": [{"name": "x", "value": "1"}]}
        for _ in range(2):
            cluster.apply(kind, manifest(kind=kind, name=f"client-{kind.lower()}", arguments=arguments))
    hostile = "{{workflow.name}} $(HOME) 'q' \"d\" = --flag"
    made = cluster.start("client-workflowtemplate", {"x": hostile})
    assert made["spec"]["arguments"]["parameters"] == [{"name": "x", "value": hostile}]
    cluster.delete(made["metadata"]["name"])
    for kind in ("WorkflowTemplate", "CronWorkflow"):
        cluster.remove(kind, f"client-{kind.lower()}")
        with pytest.raises(MissingError):
            cluster.read(kind, f"client-{kind.lower()}")


def test_the_server_finds_what_is_wrong_with_a_manifest():
    """And is not asked again and again: a refusal is no outage."""
    began = time.monotonic()
    with pytest.raises(ExecutorError, match="template name 'nope' undefined"):
        cluster_by("server").lint(manifest(entrypoint="nope"))
    assert time.monotonic() - began < 2


def test_a_bad_token_is_told():
    """With what to do."""
    with pytest.raises(AccessDeniedError, match="set ARGO_TOKEN"):
        cluster_by("server", token="abc").list()


def test_a_missing_right_is_named():
    """Who, what, and where: the text that an administrator needs."""
    with pytest.raises(
        AccessDeniedError, match="'pyflow-tests/submitter' create a workflow: it cannot create resource"
    ):
        cluster_by("server", namespace="default").create(manifest())


def test_a_missing_namespace_is_named():
    """The administrator may do anything, and yet there is no such place."""
    with pytest.raises(MissingError, match="has no namespace 'nowhere'"):
        cluster_by("kubernetes", namespace="nowhere").create(manifest())


@pytest.mark.parametrize(
    ("host", "kind", "told"),
    [
        ("http://127.0.0.1:1", UnreachableError, "Connection refused"),
        ("https://127.0.0.1:2746", ExecutorError, "ARGO_SECURE=false"),
        ("http://127.0.0.1:8333", ExecutorError, "The Argo Server at"),
        ("https://127.96.0.1:443", ExecutorError, "ARGO_INSECURE_SKIP_VERIFY"),
    ],
)
def test_a_wrong_address_is_told(monkeypatch, host, kind, told):
    """Nobody listens, no TLS, another program, a certificate of its own."""
    monkeypatch.setattr("pyflow.executors.argo.server._PAUSE_S", 0.01)
    with pytest.raises(kind, match=told):
        cluster_by("server", host=host, base_href="").version()


def test_without_a_kubeconfig_it_is_told_what_to_set(monkeypatch, tmp_path):
    """Nothing is asked of anybody then."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"Set ARGO_SERVER and ARGO_TOKEN .*, or KUBECONFIG"):
        cluster_by("kubernetes").version()


def test_rights_are_known_before_they_are_needed(cluster):
    """The API itself says; the Argo Server tells only what it can try without changing anything."""
    assert cluster.may(Right("list", "workflows")) is True
    is_server = type(cluster).__name__ == "ArgoServer"
    assert cluster.may(Right("create", "workflows")) is (None if is_server else True)

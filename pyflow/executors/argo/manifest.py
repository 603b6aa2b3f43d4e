"""PackedGraph → the manifest of a Workflow. It carries ids only: code, values and texts of users stay in the store."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import Any, Final

from pyflow.contract import Home
from pyflow.errors import ExecutorError
from pyflow.executors.argo.containers import container_template
from pyflow.executors.argo.dags import Dags
from pyflow.executors.argo.estimate import ESTIMATE, choose_most, estimate
from pyflow.executors.argo.mounts import shared_volumes
from pyflow.executors.argo.place import Place, Travelling
from pyflow.executors.argo.profiles import HELPER, Wants, pod_template
from pyflow.executors.argo.settings import ArgoSettings
from pyflow.executors.argo.steps import Pod, Step, Stepper, last_of
from pyflow.executors.argo.text import all_plain
from pyflow.executors.argo.verified import verified
from pyflow.jsontext import dump
from pyflow.packed import PackedGraph
from pyflow.runtime import sharing

Template = dict[str, Any]

MOST_TEMPLATES: Final = 190
"""Of the 200 that Argo's full CRDs allow; the rest is room for what a cluster's own defaults may add."""

_OF_THE_WAY: Final = frozenset({"host", "token", "token_file", "base_href", "context", "verify_ssl"})
"""Settings that lead to the cluster; all others may stand in a manifest."""

EXIT: Final = "exit"
_END: Final = "end"

FAILURES: Final = (
    "{{=toBase64(toJSON(map(take(filter(fromJSON(fromJSON(workflow.failures)) ?? [], "
    ".message != '' && .message != 'No more retries left'), 40), [.displayName, .message[:600]])))}}"
)
"""What Argo says of pods that failed, for the one that ends the run: ``silent.py`` reads it.

All that is variable is in base64, so nothing in it is taken for a tag, and it is short enough for an argument however many there are.
Argo quotes the list (argo-workflows, operator.go), so it is JSON in JSON; where nothing has failed it is ``null``.
"""


def to_workflow(
    graph: PackedGraph,
    *,
    digest: str,
    size: int,
    home: Home,
    settings: ArgoSettings,
    runtime: Travelling,
    endpoint: str | None = None,
    most: int | None = None,
) -> Template:
    """The manifest of a Workflow that runs a graph.

    Args:
        graph: What is to run.
        digest: Of the graph's bytes in the store: it pins all code and constants.
        size: Of the graph's bytes.
        home: The store and whose part of it, as pods reach it.
        settings: The cluster.
        runtime: The archive of pyflow's runtime in that store, and where it lies in images that have it.
        endpoint: Of the store's service, where the settings say none for pods.
        most: How many pods a map may have at most, when its items can share pods; None: as an estimate of the size says.

    Raises:
        ExecutorError: The graph cannot be expressed, or does not fit into what Argo takes; or Argo would read a tag in a setting.
    """
    _refuse_tags(settings)
    most = choose_most(graph) if most is None else most
    place = Place(
        home=home, graph_digest=digest, graph_size=size, python=graph.python, settings=settings, most=most,
        runtime=runtime, endpoint=endpoint,
    )  # fmt: skip
    templates = _templates(graph, place, settings.entrypoint, most)
    if len(templates) > MOST_TEMPLATES:
        raise ExecutorError(
            f"The pipeline {graph.name!r} needs {len(templates)} templates, and Argo takes 200 in a workflow. Let more of its "
            "tasks have the same options, use f.map(...) for calls that differ in their arguments only, or run a part of it "
            "as a pipeline of its own."
        )
    workflow: Template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": _metadata(graph, digest, settings),
        "spec": {**_spec(graph, settings), "templates": templates},
    }
    found = estimate(graph, len(dump(workflow)), most)
    workflow["metadata"].setdefault("annotations", {})[ESTIMATE] = str(found)
    return verified(workflow)


def _refuse_tags(settings: ArgoSettings) -> None:
    """Refuse a setting that would not arrive as it is."""
    for field in fields(settings):
        if field.name not in _OF_THE_WAY:
            all_plain(getattr(settings, field.name), what=f"setting argo.{field.name}")


def _templates(graph: PackedGraph, place: Place, entrypoint: str, most: int) -> list[Template]:
    """The DAGs, from the entry point on, the pods that they are made of, and what comes at the end."""
    pods = _Pods(graph, place)
    dags = Dags(pods.template, fail_fast=graph.fail_fast)
    steps = Stepper(graph, most=most).steps()
    last = last_of(steps) if graph.on_exit is None else None
    if last is not None:
        last.arguments["n"] = (sharing.LAST, *last.arguments["n"])
    dags.add(entrypoint, steps, has_index=False)
    return [*dags.templates, *pods.templates, *_exit_templates(graph, place, is_for_failures=last is not None)]


def short_name(pipeline: str) -> str:
    """The pipeline's name as the beginning of a workflow's: short, since each pod's entry in the status repeats it."""
    return re.sub(r"[^a-z0-9]+", "-", pipeline.lower()).strip("-")[:16].strip("-") or "run"


def _metadata(graph: PackedGraph, digest: str, settings: ArgoSettings) -> Template:
    metadata: Template = {
        "generateName": f"{short_name(graph.name)}-",
        # A label's value has at most 63 characters.
        "labels": {**settings.labels, "pyflow/graph": digest[:40]},
    }
    if settings.namespace is not None:
        metadata["namespace"] = settings.namespace
    if settings.annotations:
        metadata["annotations"] = dict(settings.annotations)
    return metadata


def _spec(graph: PackedGraph, settings: ArgoSettings) -> Template:
    spec: Template = {
        "entrypoint": settings.entrypoint,
        "onExit": EXIT,
        "securityContext": _user(settings),
        "volumes": shared_volumes(settings),
    }
    if settings.service_account is not None:
        spec["serviceAccountName"] = settings.service_account
        # Argo's own container needs the account's token, the author's does not. Of an account that has no name here nobody could
        # say which token that is, and Argo refuses the pod.
        spec["automountServiceAccountToken"] = False
        spec["executor"] = {"serviceAccountName": settings.service_account}
    if settings.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    parallelism = min(filter(None, (settings.parallelism, graph.parallelism)), default=None)
    if parallelism is not None:
        spec["parallelism"] = parallelism
    spec |= _of_all_pods(settings)
    if settings.run_timeout_s is not None:
        spec["activeDeadlineSeconds"] = math.ceil(settings.run_timeout_s)
    if settings.keep_for_s is not None:
        spec["ttlStrategy"] = {"secondsAfterCompletion": math.ceil(settings.keep_for_s)}
    if settings.pod_gc != "Never":
        spec["podGC"] = {"strategy": settings.pod_gc}
    return spec


def _user(settings: ArgoSettings) -> Template:
    """As whom pods run; their group is that of their volumes, too."""
    security: Template = {"runAsNonRoot": True}
    if settings.user_and_group is not None:
        user, group = settings.user_and_group
        security |= {"runAsUser": user, "runAsGroup": group, "fsGroup": group}
    return {**security, "seccompProfile": {"type": "RuntimeDefault"}}


def _of_all_pods(settings: ArgoSettings) -> Template:
    """What the settings say of pods, whichever task runs in them."""
    wanted: Template = {}
    # Argo gives pods none of the workflow's own metadata.
    metadata = {"labels": dict(settings.labels), "annotations": dict(settings.annotations)}
    if any(metadata.values()):
        wanted["podMetadata"] = {name: texts for name, texts in metadata.items() if texts}
    if settings.node_selector:
        wanted["nodeSelector"] = dict(settings.node_selector)
    if settings.tolerations:
        wanted["tolerations"] = [dict(toleration) for toleration in settings.tolerations]
    if settings.priority_class is not None:
        wanted["podPriorityClassName"] = settings.priority_class
    return wanted


def _exit_templates(graph: PackedGraph, place: Place, *, is_for_failures: bool) -> list[Template]:
    """What comes at the end: a pod in any case, or one when the pod behind all others has not ended the run."""
    if not is_for_failures:
        return [_end_template(EXIT, graph, place)]
    # As steps, for of a workflow that is stopped Argo takes a DAG for failed while the pods of its exit handler still run.
    step = {"name": _END, "template": _END, "when": "{{workflow.status}} != Succeeded"}
    return [{"name": EXIT, "steps": [[step]]}, _end_template(_END, graph, place)]


def _end_template(name: str, graph: PackedGraph, place: Place) -> Template:
    """Runs the exit handler, if there is one, and writes the run's summary; also of a failed or stopped workflow."""
    options = HELPER if graph.on_exit is None else graph.options[graph.on_exit.options]
    # The summary is to be written in any case; the handler's own attempts are made within the pod.
    options = options._replace(retries=max(options.retries, HELPER.retries))
    template = pod_template(name, options, place, tells=0)
    template["inputs"].pop("parameters")
    if not template["inputs"]:
        del template["inputs"]
    arguments = template["container"]["args"]
    node, indices = "{{inputs.parameters.n}}", "{{inputs.parameters.i}}"
    changed = {node: "x", indices: "{{workflow.status}}"}
    template["container"]["args"] = [*(changed.get(argument, argument) for argument in arguments), FAILURES]
    return template


class _Pods:
    """The templates of pods: made when a step asks for one that no step before asked for."""

    def __init__(self, graph: PackedGraph, place: Place) -> None:
        self.templates: list[Template] = []
        self._graph = graph
        self._place = place
        self._names: dict[tuple[Wants, bool], str] = {}

    def template(self, step: Step, pod: Pod) -> str:
        """The name of the template for a pod."""
        options = HELPER if pod.options is None else self._graph.options[pod.options]
        if pod.container is not None:
            self.templates.append(container_template(step.template, pod.container, options, self._place))
            return step.template
        is_batch = step.count is not None
        wants = (Wants.of(options, pod.tells), is_batch and options.timeout_s is not None)
        name = self._names.get(wants)
        if name is None:
            name = self._names[wants] = f"p{len(self._names)}"
            self.templates.append(pod_template(name, options, self._place, tells=pod.tells, is_batch=is_batch))
        return name

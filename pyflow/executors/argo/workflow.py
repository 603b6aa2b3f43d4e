"""What the status of a workflow says of its pods and of itself, as values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pyflow.jsontext import Json
from pyflow.runtime import reasons

FINAL: Final = frozenset({"Succeeded", "Failed", "Error"})
"""Phases after which a workflow, or a node, changes no more."""

_RETRY: Final = re.compile(r"\((\d+)\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class PodNode:
    """One pod of a workflow."""

    id: str
    name: str
    template: str
    pod: str
    """Name of the pod in the cluster."""
    phase: str
    message: str
    exit_code: int | None
    attempt: int
    parameters: dict[str, str] = field(default_factory=dict)
    host: str = ""
    started_at: float | None = None
    """When Argo took it up, in seconds since 1970."""

    @property
    def is_over(self) -> bool:
        """Whether the pod will not change any more."""
        return self.phase in FINAL

    @property
    def is_failed(self) -> bool:
        """Whether it ended without success."""
        return self.phase in {"Failed", "Error"}


def phase_of(workflow: Json) -> str:
    """``Pending``, ``Running``, ``Succeeded``, ``Failed`` or ``Error``; empty until the controller has looked at it."""
    return str((workflow.get("status") or {}).get("phase") or "")


def message_of(workflow: Json) -> str:
    """What the controller says of the workflow as a whole."""
    return str((workflow.get("status") or {}).get("message") or "")


def finished_at(workflow: Json) -> float | None:
    """When it ended, as the controller says; None while it goes on."""
    return _seconds((workflow.get("status") or {}).get("finishedAt"))


def is_shut_down(workflow: Json) -> bool:
    """Whether somebody has stopped or terminated it."""
    return bool((workflow.get("spec") or {}).get("shutdown"))


def pod_nodes(workflow: Json) -> Iterator[PodNode]:
    """All pods that the workflow has or had, those not yet created included."""
    name = str(workflow["metadata"]["name"])
    for node_id, node in ((workflow.get("status") or {}).get("nodes") or {}).items():
        if node.get("type") == "Pod":
            yield _pod_node(name, node_id, node)


def is_at_the_end(pod: PodNode, workflow: str) -> bool:
    """Whether a pod is of the exit handler, as which pyflow ends a run (argo-workflows, common.go: GenerateOnExitNodeName)."""
    return pod.name.startswith(f"{workflow}.onExit")


def _seconds(time: Json) -> float | None:
    """Seconds since 1970 of a time as Kubernetes spells it."""
    return datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp() if time else None


def _pod_node(workflow: str, node_id: str, node: Json) -> PodNode:
    outputs = node.get("outputs") or {}
    code = str(outputs.get("exitCode", ""))
    inputs = (node.get("inputs") or {}).get("parameters") or []
    message = str(node.get("message") or "")
    retry = _RETRY.search(str(node.get("displayName") or ""))
    template = str(node.get("templateName") or (node.get("templateRef") or {}).get("template") or "")
    return PodNode(
        id=node_id,
        name=str(node.get("name") or ""),
        template=template,
        pod=pod_name(workflow, str(node.get("name") or ""), template, node_id),
        phase=str(node.get("phase") or ""),
        message=message,
        exit_code=int(code) if code.lstrip("-").isdigit() else reasons.exit_code_in(message),
        attempt=int(retry[1]) + 1 if retry else 1,
        parameters={p["name"]: str(p.get("value", "")) for p in inputs if "name" in p},
        host=str(node.get("hostNodeName") or ""),
        started_at=_seconds(node.get("startedAt")),
    )


def pod_name(workflow: str, node: str, template: str, node_id: str) -> str:
    """The name that Argo gives to a node's pod (its workflow/util/pod_name.go, names of the second kind)."""
    if node == workflow or not template:
        return workflow
    # A node's id ends with the hash of its name, and so does its pod's name.
    return f"{workflow}-{template}"[:242] + "-" + node_id.rpartition("-")[2]

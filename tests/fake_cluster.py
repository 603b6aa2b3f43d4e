"""A cluster in memory: workflows as plain JSON, set by the test, asked by what is tested. No engine runs in it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyflow.errors import ExecutorError
from pyflow.executors.argo.failure import MissingError
from pyflow.executors.argo.objects import with_name


class FakeCluster:
    """Keeps what it is given, and answers what a test has set."""

    where = "The cluster in memory"
    namespace = "team"

    def __init__(self) -> None:
        self.workflows: dict[str, Any] = {}
        self.kept: dict[tuple[str, str], Any] = {}
        self.calls: list[tuple[str, str]] = []
        self.fails: Exception | None = None
        self.runs = "v4.0.7"
        self.denied: set[str] = set()
        self.warned: list[str] = []
        self.printed: list[str] = []
        self.refused: set[tuple[str, str]] = set()
        """A verb and a kind that this cluster does not take, as a server without the right, or with a check of its own."""

    def version(self) -> str:
        self._try("version", "")
        return self.runs

    def create(self, manifest: Mapping[str, Any]) -> Any:
        self._try("create", "")
        made = with_name(manifest, self.namespace)
        name = made["metadata"]["name"]
        made["metadata"]["uid"] = f"uid-{len(self.workflows)}-{name}"
        made["metadata"]["creationTimestamp"] = "2026-11-23T17:30:12Z"
        self.workflows[name] = made
        return copy.deepcopy(made)

    def lint(self, manifest: Mapping[str, Any]) -> None:
        self._try("lint", manifest.get("kind", "Workflow"))

    def get(self, name: str) -> Any:
        self._try("get", name)
        return copy.deepcopy(self._found(name))

    def list(self, labels: str = "", *, limit: int = 100) -> Sequence[Any]:
        return list(self.workflows.values())[:limit]

    def stop(self, name: str) -> None:
        self._try("stop", name)
        self._found(name).setdefault("spec", {})["shutdown"] = "Stop"

    def terminate(self, name: str) -> None:
        self._try("terminate", name)

    def delete(self, name: str) -> None:
        self._try("delete", name)
        del self.workflows[name]

    def logs(self, name: str, pod: str, *, container: str = "main", follow: bool = False) -> Iterator[str]:
        yield from self.printed

    def pods(self, name: str) -> Sequence[Any]:
        return []

    def warnings(self, pod: str) -> Sequence[str]:
        return self.warned

    def apply(self, kind: str, manifest: Mapping[str, Any]) -> Any:
        self._try("apply", kind)
        made = with_name(manifest, self.namespace)
        self.kept[kind, made["metadata"]["name"]] = made
        return made

    def read(self, kind: str, name: str) -> Any:
        if (kind, name) not in self.kept:
            raise MissingError(f"{kind} {name!r} not found")
        return self.kept[kind, name]

    def remove(self, kind: str, name: str) -> None:
        self.read(kind, name)
        del self.kept[kind, name]

    def start(self, template: str, parameters: Mapping[str, str]) -> Any:
        self.read("WorkflowTemplate", template)
        arguments = {"parameters": [{"name": k, "value": v} for k, v in parameters.items()]}
        spec = {"workflowTemplateRef": {"name": template}, "arguments": arguments}
        return self.create({"metadata": {"generateName": f"{template}-"}, "spec": spec})

    def may(self, right: Any) -> bool | None:
        self._try("may", str(right))
        return str(right) not in self.denied

    def set_status(self, name: str, phase: str, *nodes: Mapping[str, Any], message: str = "") -> None:
        """What the controller would have written."""
        self.workflows[name]["status"] = {
            "phase": phase, "message": message, "nodes": {node["id"]: dict(node) for node in nodes},
        }  # fmt: skip

    def _found(self, name: str) -> Any:
        if name not in self.workflows:
            raise MissingError(f'workflows.argoproj.io "{name}" not found')
        return self.workflows[name]

    def _try(self, verb: str, what: str) -> None:
        self.calls.append((verb, what))
        if self.fails is not None:
            raise self.fails
        if (verb, what) in self.refused:
            raise ExecutorError(f"{self.where} refuses to {verb} {what}.")


def pod(
    number: int, phase: str, message: str = "", *, indices: str = "-", attempt: int | None = None
) -> dict[str, Any]:
    """A node of a workflow's status that stands for a pod of ours."""
    return {
        "id": f"w-{number}{indices}{attempt}", "name": f"w.n{number}", "type": "Pod", "templateName": "task", "phase": phase,
        "displayName": f"n{number}" if attempt is None else f"n{number}({attempt - 1})", "message": message,
        "inputs": {"parameters": [{"name": "n", "value": str(number)}, {"name": "i", "value": indices}]},
    }  # fmt: skip

"""What pyflow asks of a cluster, whichever of the two ways leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pyflow.jsontext import Json

Kind = Literal["WorkflowTemplate", "CronWorkflow"]


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that somebody may have to be allowed to do in a namespace."""

    verb: str
    resource: str
    group: str = "argoproj.io"
    subresource: str = ""

    def __str__(self) -> str:
        what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {what}"


class Cluster(Protocol):
    """A cluster with Argo. Every method raises ``AccessDeniedError``, ``UnreachableError`` or ``ExecutorError``."""

    @property
    def where(self) -> str:
        """The server, for messages."""

    @property
    def namespace(self) -> str:
        """Where workflows live."""

    def version(self) -> str:
        """Of what answers."""

    def create(self, manifest: Mapping[str, Json]) -> Json:
        """Submit a workflow; the object that the cluster made of it. Asked twice it is made once: it has a name."""

    def lint(self, manifest: Mapping[str, Json]) -> None:
        """Refuse a manifest that the cluster would refuse, without making anything."""

    def get(self, name: str) -> Json:
        """A workflow with its status."""

    def list(self, labels: str = "", *, limit: int = 100) -> Sequence[Json]:
        """Workflows with these labels, the latest first, without their nodes."""

    def stop(self, name: str) -> None:
        """End a workflow, so that its exit handler still runs."""

    def terminate(self, name: str) -> None:
        """End a workflow at once, its exit handler as well."""

    def delete(self, name: str) -> None:
        """Remove a workflow with its pods."""

    def logs(self, name: str, pod: str, *, container: str = "main", follow: bool = False) -> Iterator[str]:
        """What a pod has printed, line by line; with ``follow`` until it ends."""

    def pods(self, name: str) -> Sequence[Json]:
        """The pods of a workflow with their conditions; empty where this way does not show them."""

    def warnings(self, pod: str) -> Sequence[str]:
        """What Kubernetes has warned of a pod, as ``reason: message``, the latest last."""

    def apply(self, kind: Kind, manifest: Mapping[str, Json]) -> Json:
        """Make a template or cron workflow, or replace the one of that name."""

    def read(self, kind: Kind, name: str) -> Json:
        """A template or cron workflow."""

    def remove(self, kind: Kind, name: str) -> None:
        """Remove a template or cron workflow."""

    def start(self, template: str, parameters: Mapping[str, str]) -> Json:
        """Make a workflow of a template."""

    def may(self, right: Right) -> bool | None:
        """Whether who asks has a right; None where this way cannot tell."""

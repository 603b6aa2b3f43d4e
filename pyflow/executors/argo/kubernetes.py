"""The way to a cluster through its Kubernetes API: a kubeconfig, or the service account of the pod that this runs in."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyflow.errors import ConfigError, UnreachableError
from pyflow.executors.argo.cluster import Kind, Right
from pyflow.executors.argo.failure import ExistsError, MissingError, refusal, unreachable
from pyflow.executors.argo.objects import hydrated, is_argos_own, is_same_submission, with_name
from pyflow.executors.argo.settings import ArgoSettings
from pyflow.jsontext import Json
from pyflow.late import late

if TYPE_CHECKING:
    import httpx2
    import lightkube
    from lightkube import generic_resource
    from lightkube.config import client_adapter
    from lightkube.core import exceptions
    from lightkube.resources import core_v1
else:
    httpx2 = late("httpx2")
    lightkube = late("lightkube")
    generic_resource = late("lightkube.generic_resource")
    client_adapter = late("lightkube.config.client_adapter")
    exceptions = late("lightkube.core.exceptions")
    core_v1 = late("lightkube.resources.core_v1")

T = TypeVar("T")
_TRIES: Final = 4
_PAUSE_S: Final = 0.5
_GROUP: Final = ("argoproj.io", "v1alpha1")
_PLURAL: Final = {
    "Workflow": "workflows", "WorkflowTemplate": "workflowtemplates", "CronWorkflow": "cronworkflows",
}  # fmt: skip
_REVIEW: Final = ("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")
_V1: Final = "client.authentication.k8s.io/v1"


class KubernetesApi:
    """The API of a cluster. Every request is tried again while the API is away; what is created has a name."""

    def __init__(self, settings: ArgoSettings) -> None:
        self._settings = settings
        self._opened: Any = None
        self._config: Any = None

    @property
    def where(self) -> str:
        """The API, for messages."""
        return f"The Kubernetes API at {self._single().cluster.server}"

    @property
    def namespace(self) -> str:
        """What the settings say, or the context of the kubeconfig."""
        return self._settings.namespace or str(self._single().namespace)

    def version(self) -> str:
        """Of Kubernetes."""
        told = self._try("tell its version", lambda: self._raw("/version"))
        return f"Kubernetes {told.get('gitVersion', '')}"

    def create(self, manifest: Mapping[str, Json]) -> Json:
        """Submit a workflow; the object that the cluster made of it."""
        mine = with_name(manifest, self.namespace, self._settings.instance_id)
        return self._create_once("Workflow", mine, "create a workflow")

    def lint(self, manifest: Mapping[str, Json]) -> None:
        """Ask for the object without making it; the CRDs alone judge, for Argo's own check needs the Argo Server."""
        mine = with_name(manifest, self.namespace)
        kind = manifest.get("kind", "Workflow")
        client = self._client(dry_run=True)
        self._try("check a manifest", lambda: client.create(self._object(kind, mine), namespace=self.namespace))

    def get(self, name: str) -> Json:
        """A workflow with its status."""
        return hydrated(self._read("Workflow", name))

    def list(self, labels: str = "", *, limit: int = 100) -> Sequence[Json]:
        """Workflows with these labels, the latest first."""
        selector = dict(part.split("=", 1) for part in labels.split(",") if part)
        kind = self._resource("Workflow")
        found = self._try(
            "list workflows",
            lambda: [dict(o) for o in self._client().list(kind, namespace=self.namespace, labels=selector)],
        )
        return sorted(found, key=_created, reverse=True)[:limit]

    def stop(self, name: str) -> None:
        """End a workflow, so that its exit handler still runs."""
        self._shut_down(name, "Stop")

    def terminate(self, name: str) -> None:
        """End a workflow at once, its exit handler as well."""
        self._shut_down(name, "Terminate")

    def delete(self, name: str) -> None:
        """Remove a workflow with its pods."""
        kind = self._resource("Workflow")
        self._try(f"delete workflow {name!r}", lambda: self._client().delete(kind, name, namespace=self.namespace))

    def logs(self, name: str, pod: str, *, container: str = "main", follow: bool = False) -> Iterator[str]:  # noqa: ARG002  pods have names of their own
        """What a pod has printed, line by line."""
        doing = f"read the log of pod {pod!r}"
        lines = self._try(
            doing,
            lambda: self._client().log(
                pod, namespace=self.namespace, container=container, follow=follow, newlines=False
            ),
        )
        try:
            yield from (line for line in lines if not is_argos_own(line))
        except httpx2.HTTPError as error:
            raise unreachable(error, doing=doing, where=self.where) from error

    def pods(self, name: str) -> Sequence[Json]:
        """The pods of a workflow with their conditions."""
        labels = {"workflows.argoproj.io/workflow": name}
        return self._try(
            f"list the pods of {name!r}",
            lambda: [p.to_dict() for p in self._client().list(core_v1.Pod, namespace=self.namespace, labels=labels)],
        )

    def warnings(self, pod: str) -> Sequence[str]:
        """What Kubernetes has warned of a pod."""
        fields = {"involvedObject.name": pod, "type": "Warning"}
        found = self._try(
            "read events",
            lambda: list(self._client().list(core_v1.Event, namespace=self.namespace, fields=fields)),
        )
        return [f"{event.reason}: {event.message}" for event in found]

    def apply(self, kind: Kind, manifest: Mapping[str, Json]) -> Json:
        """Make a template or cron workflow, or replace the one of that name."""
        mine = with_name(manifest, self.namespace, self._settings.instance_id)
        name = mine["metadata"]["name"]
        try:
            known = self.read(kind, name)
        except MissingError:
            return self._create_once(kind, mine, f"create {kind} {name!r}")
        mine["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"]
        return self._try(
            f"replace {kind} {name!r}",
            lambda: dict(self._client().replace(self._object(kind, mine), name, namespace=self.namespace)),
        )

    def read(self, kind: Kind, name: str) -> Json:
        """A template or cron workflow."""
        return self._read(kind, name)

    def remove(self, kind: Kind, name: str) -> None:
        """Remove a template or cron workflow."""
        resource = self._resource(kind)
        self._try(f"delete {kind} {name!r}", lambda: self._client().delete(resource, name, namespace=self.namespace))

    def start(self, template: str, parameters: Mapping[str, str]) -> Json:
        """Make a workflow of a template."""
        values = [{"name": name, "value": value} for name, value in parameters.items()]
        spec = {"workflowTemplateRef": {"name": template}, "arguments": {"parameters": values}}
        manifest = {
            "apiVersion": "/".join(_GROUP), "kind": "Workflow", "metadata": {"generateName": f"{template[:52]}-"}, "spec": spec,
        }  # fmt: skip
        self.read("WorkflowTemplate", template)
        return self.create(manifest)

    def may(self, right: Right) -> bool | None:
        """Whether who asks has a right, as the API itself says."""
        attributes = {
            "namespace": self.namespace, "verb": right.verb, "group": right.group, "resource": right.resource,
            "subresource": right.subresource,
        }  # fmt: skip
        resource = generic_resource.create_global_resource(*_REVIEW)
        review = resource({"metadata": {}, "spec": {"resourceAttributes": attributes}})
        told = self._try(f"say whether you may {right}", lambda: dict(self._client().create(review)))
        return bool(told["status"].get("allowed"))

    def _read(self, kind: str, name: str) -> Json:
        resource = self._resource(kind)
        return self._try(
            f"read {kind} {name!r}", lambda: _plain(self._client().get(resource, name, namespace=self.namespace))
        )

    def _create_once(self, kind: str, mine: dict[str, Any], doing: str) -> Json:
        try:
            return self._try(
                doing, lambda: _plain(self._client().create(self._object(kind, mine), namespace=self.namespace))
            )
        except ExistsError:
            found = self._read(kind, mine["metadata"]["name"])
            if not is_same_submission(mine, found):
                raise
            return found

    def _shut_down(self, name: str, how: str) -> None:
        kind, patch = self._resource("Workflow"), {"spec": {"shutdown": how}}
        self._try(
            f"{how.lower()} workflow {name!r}",
            # Merge patch: strategic merge is for Kubernetes' own kinds only.
            lambda: self._client().patch(
                kind, name, patch, namespace=self.namespace, patch_type=lightkube.types.PatchType.MERGE
            ),
        )

    def _try(self, doing: str, ask: Callable[[], T]) -> T:
        """What the API answers, asked again while it is away."""
        for attempt in range(1, _TRIES + 1):
            try:
                return self._once(doing, ask)
            except UnreachableError:
                if attempt == _TRIES:
                    raise
                time.sleep(_PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError

    def _once(self, doing: str, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except httpx2.HTTPStatusError as error:
            status = error.response.status_code if error.response is not None else int(error.status.code or 500)
            raise refusal(status, str(error), doing=doing, where=self.where, namespace=self.namespace) from error
        except httpx2.HTTPError as error:
            raise unreachable(error, doing=doing, where=self.where) from error
        except exceptions.ConfigError as error:
            raise ConfigError(f"The credentials of the kubeconfig do not work: {error}.") from error

    def _resource(self, kind: str) -> Any:
        return generic_resource.create_namespaced_resource(*_GROUP, kind, _PLURAL[kind])

    def _object(self, kind: str, manifest: Mapping[str, Json]) -> Any:
        return self._resource(kind)(dict(manifest))

    def _raw(self, path: str) -> Json:
        with client_adapter.Client(self._single(), client_adapter.ConnectionParams()) as http:
            return http.get(path).raise_for_status().json()

    def _client(self, *, dry_run: bool = False) -> Any:
        if dry_run or self._opened is None:
            timeout = httpx2.Timeout(self._settings.timeout_s)
            opened: Any = lightkube.Client(
                config=self._single(), namespace=self.namespace, timeout=timeout, dry_run=dry_run
            )
            weakref.finalize(self, opened.close)
            if dry_run:
                return opened
            self._opened = opened
        return self._opened

    def _single(self) -> Any:
        """The context that holds, read once."""
        if self._config is None:
            try:
                self._config = _usable(lightkube.KubeConfig.from_env().get(self._settings.context))
            except (exceptions.ConfigError, KeyError, OSError, ValueError) as error:
                raise ConfigError(
                    f"Nothing says where the cluster is: no Argo Server is set, and there is no usable kubeconfig ({error}). Set ARGO_SERVER and "
                    "ARGO_TOKEN (Argo's user page shows them), or KUBECONFIG, or configure(argo={'host': ..., 'token': ...})."
                ) from error
        return self._config


def _usable(config: Any) -> Any:
    """The same; a plugin that speaks the final version of its protocol is taken by the one before, which reads alike."""
    plugin = config.user.exec if config.user is not None else None
    if plugin is not None and plugin.apiVersion == _V1:
        plugin.apiVersion = f"{_V1}beta1"
    return config


def _plain(found: Any) -> dict[str, Any]:
    return dict(found)


def _created(workflow: Json) -> str:
    return str(workflow.get("metadata", {}).get("creationTimestamp", ""))

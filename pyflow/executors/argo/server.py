"""The way to a cluster through the Argo Server: HTTP with a token."""

from __future__ import annotations

import json
import re
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from pyflow.errors import AccessDeniedError, ConfigError, ExecutorError, UnreachableError
from pyflow.executors.argo.cluster import Kind, Right
from pyflow.executors.argo.failure import ExistsError, MissingError, refusal, unreachable
from pyflow.executors.argo.objects import hydrated, is_argos_own, is_same_submission, with_name
from pyflow.executors.argo.settings import ArgoSettings
from pyflow.jsontext import Json
from pyflow.late import late

if TYPE_CHECKING:
    import requests
else:
    requests = late("requests")

_TRIES: Final = 4
_PAUSE_S: Final = 0.5
_QUIET_S: Final = 1.0
"""When a stream of events has told what there was."""
_PLURAL: Final = {"WorkflowTemplate": "workflow-templates", "CronWorkflow": "cron-workflows"}
_BODY: Final = {"WorkflowTemplate": "template", "CronWorkflow": "cronWorkflow"}


class ArgoServer:
    """An Argo Server. Requests that change nothing are tried again; so is a creation, for the object has a name."""

    def __init__(self, settings: ArgoSettings) -> None:
        self._settings = settings
        self._http: requests.Session | None = None
        self.namespace = settings.namespace or "default"

    @property
    def where(self) -> str:
        """The server, for messages."""
        return f"The Argo Server at {self._settings.url}"

    def version(self) -> str:
        """Of the server."""
        return str(self._ask("GET", "/api/v1/version", "tell its version").get("version", ""))

    def create(self, manifest: Mapping[str, Json]) -> Json:
        """Submit a workflow; the object that the cluster made of it."""
        mine = with_name(manifest, self.namespace, self._settings.instance_id)
        return self._create_once(self._workflows(), {"workflow": mine}, mine, "create a workflow")

    def lint(self, manifest: Mapping[str, Json]) -> None:
        """Refuse a manifest that the cluster would refuse, without making anything."""
        mine = with_name(manifest, self.namespace)
        kind = manifest.get("kind", "Workflow")
        path, body = (self._workflows(), "workflow") if kind == "Workflow" else (self._of(kind), _BODY[kind])
        self._ask("POST", f"{path}/lint", "check a manifest", {body: mine, "namespace": self.namespace})

    def get(self, name: str) -> Json:
        """A workflow with its status."""
        return hydrated(self._ask("GET", self._workflow(name), f"read workflow {name!r}"))

    def list(self, labels: str = "", *, limit: int = 100) -> Sequence[Json]:
        """Workflows with these labels, the latest first, without their nodes."""
        query = {
            "listOptions.labelSelector": labels,
            "listOptions.limit": limit,
            "fields": "items.metadata,items.status.phase",
        }
        found = self._ask("GET", self._workflows(), "list workflows", query=query)
        return found.get("items") or []

    def stop(self, name: str) -> None:
        """End a workflow, so that its exit handler still runs."""
        self._control(name, "stop")

    def terminate(self, name: str) -> None:
        """End a workflow at once, its exit handler as well."""
        self._control(name, "terminate")

    def delete(self, name: str) -> None:
        """Remove a workflow with its pods."""
        self._ask("DELETE", self._workflow(name), f"delete workflow {name!r}")

    def logs(self, name: str, pod: str, *, container: str = "main", follow: bool = False) -> Iterator[str]:
        """What a pod has printed, line by line."""
        query = {"podName": pod, "logOptions.container": container, "logOptions.follow": "true" if follow else "false"}
        doing = f"read the log of pod {pod!r}"
        with self._send("GET", f"{self._workflow(name)}/log", doing, query=query, stream=True) as answer:
            try:
                for line in answer.iter_lines():
                    told = json.loads(line) if line else {}
                    text = told.get("result", {}).get("content")
                    if text is not None and not is_argos_own(text):
                        yield text
            except (requests.RequestException, ValueError) as error:
                raise unreachable(error, doing=doing, where=self.where) from error

    def pods(self, name: str) -> Sequence[Json]:  # noqa: ARG002  the server tells of pods by its nodes only
        """Nothing: what is known of pods is said in the messages of nodes."""
        return []

    def warnings(self, pod: str) -> Sequence[str]:
        """What Kubernetes has warned of a pod: the events that are there, for the server only streams them."""
        query = {"listOptions.fieldSelector": f"involvedObject.name={pod},type=Warning"}
        found: list[str] = []
        with self._send(
            "GET", f"/api/v1/stream/events/{self.namespace}", "read events", query=query, stream=True, quiet_s=_QUIET_S
        ) as answer:
            try:
                for line in answer.iter_lines():
                    event = json.loads(line).get("result", {}) if line else {}
                    if event.get("type") == "Warning":
                        found.append(f"{event.get('reason', '')}: {event.get('message', '')}")
            except (requests.RequestException, ValueError):
                # All that was there has come: the rest would be news.
                return found
        return found

    def apply(self, kind: Kind, manifest: Mapping[str, Json]) -> Json:
        """Make a template or cron workflow, or replace the one of that name."""
        mine = with_name(manifest, self.namespace, self._settings.instance_id)
        body, name = _BODY[kind], mine["metadata"]["name"]
        try:
            known = self.read(kind, name)
        except MissingError:
            return self._create_once(self._of(kind), {body: mine}, mine, f"create {kind} {name!r}")
        mine["metadata"] = {**mine["metadata"], "resourceVersion": known["metadata"]["resourceVersion"]}
        return self._ask("PUT", f"{self._of(kind)}/{quote(name)}", f"replace {kind} {name!r}", {body: mine})

    def read(self, kind: Kind, name: str) -> Json:
        """A template or cron workflow."""
        return self._ask("GET", f"{self._of(kind)}/{quote(name)}", f"read {kind} {name!r}")

    def remove(self, kind: Kind, name: str) -> None:
        """Remove a template or cron workflow."""
        self._ask("DELETE", f"{self._of(kind)}/{quote(name)}", f"delete {kind} {name!r}")

    def start(self, template: str, parameters: Mapping[str, str]) -> Json:
        """Make a workflow of a template."""
        options = {"parameters": [f"{name}={value}" for name, value in parameters.items()]}
        body = {"resourceKind": "WorkflowTemplate", "resourceName": template, "submitOptions": options}
        return self._ask("POST", f"{self._workflows()}/submit", f"start template {template!r}", body)

    def may(self, right: Right) -> bool | None:
        """Whether the token allows to list or read something; other rights the server does not tell."""
        if right.group != "argoproj.io" or right.verb != "list":
            return None
        path = {"workflows": self._workflows(), "workflowtemplates": self._of("WorkflowTemplate"),
                "cronworkflows": self._of("CronWorkflow")}.get(right.resource)  # fmt: skip
        if path is None:
            return None
        try:
            self._ask(
                "GET", path, f"list {right.resource}", query={"listOptions.limit": 1, "fields": "items.metadata.name"}
            )
        except AccessDeniedError:
            return False
        return True

    def _workflows(self) -> str:
        return f"/api/v1/workflows/{self.namespace}"

    def _workflow(self, name: str) -> str:
        return f"{self._workflows()}/{quote(name)}"

    def _of(self, kind: str) -> str:
        return f"/api/v1/{_PLURAL[kind]}/{self.namespace}"

    def _control(self, name: str, verb: str) -> None:
        body = {"name": name, "namespace": self.namespace}
        self._ask("PUT", f"{self._workflow(name)}/{verb}", f"{verb} workflow {name!r}", body)

    def _create_once(self, path: str, body: dict[str, Any], mine: Mapping[str, Json], doing: str) -> Json:
        try:
            return self._ask("POST", path, doing, body)
        except ExistsError:
            found = self._ask("GET", f"{path}/{quote(mine['metadata']['name'])}", doing)
            if not is_same_submission(mine, found):
                raise
            return found

    def _ask(
        self, method: str, path: str, doing: str, body: Json = None, *, query: Mapping[str, Any] | None = None
    ) -> Json:
        answer = self._send(method, path, doing, body=body, query=query)
        try:
            return answer.json()
        except ValueError as error:
            start = " ".join(answer.text.split())[:80]
            raise ExecutorError(
                f"{self.where} is not an Argo Server: it answered with {start!r}. Check the address, and the path below it "
                "(ARGO_BASE_HREF or argo={'base_href': ...})."
            ) from error

    def _send(
        self,
        method: str,
        path: str,
        doing: str,
        *,
        body: Json = None,
        query: Mapping[str, Any] | None = None,
        stream: bool = False,
        quiet_s: float | None = None,
    ) -> requests.Response:
        """The answer to a request, tried again while the server is busy or away."""
        for attempt in range(1, _TRIES + 1):
            try:
                return self._send_once(method, path, doing, body=body, query=query, stream=stream, quiet_s=quiet_s)
            except UnreachableError:
                if attempt == _TRIES:
                    raise
                time.sleep(_PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError

    def _send_once(
        self,
        method: str,
        path: str,
        doing: str,
        *,
        body: Json,
        query: Mapping[str, Any] | None,
        stream: bool,
        quiet_s: float | None,
    ) -> requests.Response:
        settings = self._settings
        if self._http is None:
            self._http = requests.Session()
            weakref.finalize(self, self._http.close)
            if settings.verify_ssl is False:
                # Whoever asked for it knows, and is not told again with every look at a run.
                host = re.escape(urlsplit(settings.url).hostname or "")
                warnings.filterwarnings("ignore", f"Unverified HTTPS request is being made to host '{host}'")
        try:
            answer = self._http.request(
                method,
                settings.url + path,
                json=body,
                params=query,
                stream=stream,
                # With an `auth` of ours, requests does not look for another one in ~/.netrc.
                auth=self._sign,
                timeout=(min(10.0, settings.timeout_s), quiet_s if stream else settings.timeout_s),
                # Said with each request, for REQUESTS_CA_BUNDLE would win over the session's.
                verify=settings.verify_ssl,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise unreachable(error, doing=doing, where=self.where) from error
        except OSError as error:  # requests looks for the file before it speaks to anybody
            raise ConfigError(
                f"argo.verify_ssl must name a file with certificates, got {settings.verify_ssl!r}: {error}."
            ) from error
        if answer.is_redirect:
            raise ExecutorError(
                f"{self.where} sends its callers on to {answer.headers.get('Location', '')[:200]!r}: use that address, or a token."
            )
        if not answer.ok:
            raise refusal(answer.status_code, _said(answer), doing=doing, where=self.where, namespace=self.namespace)
        return answer

    def _sign(self, request: Any) -> Any:
        token = self._settings.token or self._token_from_file()
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    def _token_from_file(self) -> str | None:
        """The token, read for each request: whoever renews it writes the file again."""
        file = self._settings.token_file
        if file is None:
            return None
        try:
            return Path(file).expanduser().read_text(encoding="utf-8").strip().removeprefix("Bearer ").strip()
        except OSError as error:
            raise ConfigError(f"The token for Argo cannot be read from {file}: {error.strerror}.") from error


def _said(answer: requests.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return str(answer.text)[:300]
    return str(told.get("message", told)) if isinstance(told, dict) else str(told)

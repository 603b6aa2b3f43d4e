"""The few objects that an administrator applies once to a namespace, so that pyflow's pods can work in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyflow.executors.argo.settings import ArgoSettings
from pyflow.jsontext import Json

SERVICE_ACCOUNT: Final = "pyflow"
KEY_SECRET: Final = "pyflow-key"  # noqa: S105  a name
S3_SECRET: Final = "pyflow-s3"  # noqa: S105  a name
CA_SECRET: Final = "pyflow-ca"  # noqa: S105  a name
_LABELS: Final = {"app.kubernetes.io/part-of": "pyflow"}


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a bucket asks for."""

    access_key: str
    secret_key: str


def setup_objects(
    settings: ArgoSettings,
    keys: Sequence[str],
    credentials: Credentials | None = None,
    *,
    certificates: str | None = None,
    submitter: str | None = None,
) -> list[dict[str, Json]]:
    """Service account, role, binding, its token, the key that signs results, and, when asked, what it takes to reach the bucket.

    Args:
        settings: The namespace, and the names that are to be used.
        keys: With which results are signed, as their file holds them.
        credentials: For the bucket; None: pods have them from elsewhere.
        certificates: Certificates, as PEM, of those that vouch for the store; None: it is one that everybody trusts.
        submitter: A service account that may submit runs and look at them; None: nobody is given that right.
    """
    namespace = settings.namespace or "default"
    account = settings.service_account or SERVICE_ACCOUNT
    objects = [
        _object("v1", "ServiceAccount", account, namespace),
        # The rights that Argo's own container needs in a pod; nothing else (Argo's docs/workflow-rbac.md).
        *_role(
            f"{account}-executor",
            account,
            namespace,
            [_rule("argoproj.io", ["workflowtaskresults"], ["create", "patch"])],
        ),
        _token(account, namespace),
        _secret(settings.key_secret or KEY_SECRET, namespace, {"key": "".join(f"{key}\n" for key in keys)}),
    ]
    if credentials is not None:
        values = {settings.s3_access_key: credentials.access_key, settings.s3_secret_key: credentials.secret_key}
        objects.append(_secret(settings.s3_secret or S3_SECRET, namespace, values))
    if certificates is not None:
        objects.append(_secret(settings.s3_ca_secret or CA_SECRET, namespace, {settings.s3_ca_key: certificates}))
    if submitter is not None:
        objects += _submitter(submitter, namespace)
    return objects


def _submitter(account: str, namespace: str) -> list[dict[str, Json]]:
    kinds = ["workflows", "workflowtemplates", "cronworkflows"]
    rules = [
        _rule("argoproj.io", kinds, ["create", "get", "list", "watch", "update", "patch", "delete"]),
        _rule("", ["pods", "pods/log", "events"], ["get", "list", "watch"]),
    ]
    return [_object("v1", "ServiceAccount", account, namespace), *_role(account, account, namespace, rules)]


def _object(version: str, kind: str, name: str, namespace: str, **more: Json) -> dict[str, Json]:
    metadata = {"name": name, "namespace": namespace, "labels": dict(_LABELS)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Json]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _role(name: str, account: str, namespace: str, rules: list[dict[str, Json]]) -> list[dict[str, Json]]:
    group = "rbac.authorization.k8s.io"
    return [
        _object(f"{group}/v1", "Role", name, namespace, rules=rules),
        _object(
            f"{group}/v1", "RoleBinding", name, namespace,
            roleRef={"apiGroup": group, "kind": "Role", "name": name},
            subjects=[{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        ),
    ]  # fmt: skip


def _token(account: str, namespace: str) -> dict[str, Json]:
    """The token for Argo's own container where the user's has none: Argo looks for it under this name."""
    secret = _object("v1", "Secret", f"{account}.service-account-token", namespace)
    secret["metadata"]["annotations"] = {"kubernetes.io/service-account.name": account}
    return {**secret, "type": "kubernetes.io/service-account-token"}


def _secret(name: str, namespace: str, values: dict[str, str]) -> dict[str, Json]:
    return _object("v1", "Secret", name, namespace, type="Opaque", stringData=values)

"""What a cluster says of itself and of who asks: for ``pyflow doctor``. A pod that tries the rest is the doctor's own run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pyflow.errors import PyflowError
from pyflow.executors.argo.cluster import Cluster, Right
from pyflow.executors.argo.settings import ArgoSettings
from pyflow.executors.remote import Finding

NEEDED: Final = (
    *(Right(verb, "workflows") for verb in ("create", "get", "list", "patch", "delete")),
    Right("list", "workflowtemplates"),
    Right("list", "cronworkflows"),
    Right("list", "pods", ""),
    Right("get", "pods", "", "log"),
    Right("list", "events", ""),
)
"""What submitting, watching, cancelling and deploying need."""

_SETUP: Final = "'pyflow argo setup --submitter NAME' prints a service account that has them."


def findings(cluster: Cluster, settings: ArgoSettings) -> Iterator[Finding]:
    """One finding after the other; where nothing answers, no more."""
    try:
        version = cluster.version()
        yield Finding("cluster", is_ok=True, detail=f"{cluster.where}: {version}, namespace {cluster.namespace}")
    except PyflowError as error:
        yield Finding("cluster", is_ok=False, detail=str(error))
        return
    yield _rights(cluster)
    yield _names(settings)


def _rights(cluster: Cluster) -> Finding:
    missing: list[str] = []
    unknown: list[str] = []
    for right in NEEDED:
        try:
            may = cluster.may(right)
        except PyflowError as error:
            return Finding("rights", is_ok=False, detail=str(error))
        (missing if may is False else unknown if may is None else []).append(str(right))
    if missing:
        return Finding(
            "rights",
            is_ok=False,
            detail=f"in {cluster.namespace} you may not {', '.join(missing)}",
            fix=f"Ask for these rights: {_SETUP}",
        )
    known = len(NEEDED) - len(unknown)
    rest = f"; the Argo Server does not tell of {len(unknown)} more, the probe tries them" if unknown else ""
    return Finding("rights", is_ok=True, detail=f"you have {known} of the {len(NEEDED)} that pyflow uses{rest}")


def _names(settings: ArgoSettings) -> Finding:
    account = f"service account {settings.service_account}"
    if settings.service_account is None:
        account = (
            "the namespace's own service account, whose token tasks see since argo={'service_account': ...} names none"
        )
    detail = f"pods run as {account}, with credentials for the store from {settings.credentials}"
    if settings.s3_secret is not None and settings.credentials == "secret":
        detail += f" {settings.s3_secret!r}"
    if settings.key_secret is None and not settings.trust_bucket:
        fix = "'pyflow argo setup | kubectl apply -f -' makes a Secret of your key; name it: argo={'key_secret': 'pyflow-key'}."
        return Finding("pods", is_ok=False, detail=f"{detail}; no key to sign results with", fix=fix)
    key = f"key from Secret {settings.key_secret!r}" if settings.key_secret is not None else "the bucket is trusted"
    return Finding("pods", is_ok=True, detail=f"{detail}; {key}")

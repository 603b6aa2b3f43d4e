"""What a cluster says of itself and of who asks: for ``pyflow doctor``. A pod that tries the rest is the doctor's own run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pyflow.errors import AccessDeniedError, PyflowError, UnreachableError
from pyflow.executors.argo.cluster import Cluster, Right
from pyflow.executors.argo.settings import ArgoSettings
from pyflow.executors.remote import Finding

NEEDED: Final = (
    *(Right(verb, "workflows") for verb in ("create", "get", "list", "patch", "delete")),
    Right("list", "pods", ""),
    Right("get", "pods", "", "log"),
    Right("list", "events", ""),
)
"""What submitting, watching and cancelling need."""

DEPLOYING: Final = tuple(
    Right(verb, kind)
    for kind in ("workflowtemplates", "cronworkflows")
    for verb in ("create", "get", "list", "update", "delete")
)
"""What is needed beside these to deploy a pipeline, and to take it away."""

_SETUP: Final = "'pyflow argo setup --submitter NAME' prints a service account that has them."


def findings(cluster: Cluster, settings: ArgoSettings) -> Iterator[Finding]:
    """One finding after the other; where nothing answers, no more."""
    try:
        version = cluster.version()
        yield Finding("cluster", is_ok=True, detail=f"{cluster.where}: {version}, namespace {cluster.namespace}")
    except PyflowError as error:
        yield Finding("cluster", is_ok=False, detail=str(error), fix=_fix(error))
        return
    yield _rights(cluster)
    yield _names(settings)


def _fix(error: PyflowError) -> str:
    """What mends that a cluster does not answer as it should."""
    if isinstance(error, AccessDeniedError):
        return f"Set ARGO_TOKEN or argo={{'token': ...}} to a token that is good, or ask for these rights: {_SETUP}"
    if isinstance(error, UnreachableError):
        return "Set ARGO_SERVER or argo={'host': ...}, or KUBECONFIG, to an address that this machine can reach, and look again."
    return "Correct what it names in the settings (docs/argo.md), or ask whoever runs the cluster."


def _rights(cluster: Cluster) -> Finding:
    wanted = (*NEEDED, *DEPLOYING)
    try:
        may = {right: cluster.may(right) for right in wanted}
    except PyflowError as error:
        return Finding("rights", is_ok=False, detail=str(error), fix=_fix(error))
    missing = [right for right in wanted if may[right] is False]
    if missing:
        is_ok = not set(missing) & set(NEEDED)
        detail = f"in {cluster.namespace} you may not {', '.join(map(str, missing))}"
        purpose = "; runs need none of it, deploying does" if is_ok else ""
        return Finding("rights", is_ok, detail + purpose, f"Ask for these rights: {_SETUP}")
    unknown = sum(answer is None for answer in may.values())
    detail = f"you have {len(wanted) - unknown} of the {len(wanted)} that pyflow uses"
    if unknown:
        detail += f"; the Argo Server does not tell of {unknown} more, the probe tries those that a run needs"
    return Finding("rights", is_ok=True, detail=detail)


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

"""What a cluster answered when it refused → an error that says what would work."""

from __future__ import annotations

import re
from typing import Final

from pyflow.errors import AccessDeniedError, ConfigError, ExecutorError, PyflowError, UnreachableError
from pyflow.tls import Fault, fault_in

RETRIED: Final = frozenset({429, 502, 503, 504})
"""Answers of something that is busy or restarting."""

# Argo answers 500 to a manifest that it does not like, too.
_PASSING: Final = re.compile(
    r"etcdserver|leader changed|timed? ?out|deadline exceeded|connection re|unavailable|EOF|try again", re.IGNORECASE
)
"""Words of servers that something behind them does not answer."""

_CANNOT: Final = re.compile(r'User "(?P<who>[^"]+)" cannot (?P<what>.+?)(?:: .*)?$', re.DOTALL)
_SETUP: Final = "'pyflow argo setup' prints what an administrator has to apply."


class MissingError(ExecutorError):
    """The cluster has no such object."""


class ExistsError(ExecutorError):
    """The cluster has an object of that name already."""


class TooLargeError(ExecutorError):
    """The object is larger than the cluster takes."""


def refusal(status: int, message: str, *, doing: str, where: str, namespace: str) -> PyflowError:
    """The error for an answer that is no success.

    Args:
        status: Of HTTP.
        message: What the answer says.
        doing: What was asked for, as ``create a workflow``.
        where: The server.
        namespace: Where it was asked for.
    """
    said = " ".join(message.split())[:600]
    if status == 401:
        return AccessDeniedError(
            f"{where} does not accept who asks to {doing}: {said or 'no token, or an expired one'}. Get a new token (from Argo's user page, or "
            f"'kubectl create token NAME --namespace {namespace}') and set ARGO_TOKEN or argo={{'token': ...}}."
        )
    if status == 403:
        return AccessDeniedError(_forbidden(said, doing, where, namespace))
    if status == 413 or "request is too large" in said or "Request entity too large" in said:
        return TooLargeError(
            f"{where} refuses to {doing}: the object is too large ({said}). A workflow with its status must stay below 1 MiB: "
            "map over fewer items at once, or let more of them share a pod with the option batch=."
        )
    if status == 404:
        return MissingError(_not_found(said, doing, where, namespace))
    if status == 409:
        return ExistsError(f"{where} cannot {doing}: {said}.")
    if status in RETRIED or (status >= 500 and (_PASSING.search(said) or not said)):
        return UnreachableError(f"{where} could not {doing} now ({status}): {said}.")
    return ExecutorError(f"{where} refuses to {doing} ({status}): {said}.")


def unreachable(error: Exception, *, doing: str, where: str) -> PyflowError:
    """The error for no answer at all."""
    text = " ".join(str(error).split())
    fault = fault_in(text)
    if fault is not None:
        return _unsafe(fault, _root(error), where)
    if "RemoteDisconnected" in text or "BadStatusLine" in text or "HTTP request to an HTTPS server" in text:
        hint = " If it speaks TLS, write its address with https://, or set ARGO_SECURE=true."
    else:
        hint = " Check the address, and that this machine may reach it (a VPN, 'kubectl port-forward')."
    return UnreachableError(f"{where} did not answer when asked to {doing}: {_root(error)}.{hint}")


def _unsafe(fault: Fault, said: str, where: str) -> PyflowError:
    """The error for a server to which there is no safe way."""
    if fault == "no-certificates":
        return ConfigError(f"The file that argo.verify_ssl names holds no certificates as PEM: {said}.")
    if fault == "out-of-date":
        return ExecutorError(
            f"The certificate of {where} is out of date: {said}. Whoever runs the server must renew it."
        )
    if fault == "other-name":
        return ExecutorError(f"The certificate of {where} is for another name: {said}. Use an address that it names.")
    if fault == "unknown-authority":
        return ExecutorError(
            f"The certificate of {where} is not one that this machine trusts. Name the authority's file, argo={{'verify_ssl': "
            "'/path/ca.pem'}, or, for a server that signed its own, set ARGO_INSECURE_SKIP_VERIFY=true."
        )
    return ExecutorError(f"{where} does not speak TLS. Write its address with http://, or set ARGO_SECURE=false.")


def _root(error: BaseException) -> str:
    """The innermost of the errors that networks wrap into each other."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return " ".join(str(error).split())[:300] or type(error).__name__


def _forbidden(said: str, doing: str, where: str, namespace: str) -> str:
    found = _CANNOT.search(said)
    if found is None:
        return f"{where} does not let you {doing} in namespace {namespace!r}: {said}. {_SETUP}"
    who = found["who"].removeprefix("system:serviceaccount:").replace(":", "/", 1)
    return (
        f"{where} does not let {who!r} {doing}: it cannot {found['what']}. Check the namespace ({namespace!r}: "
        f"ARGO_NAMESPACE, or argo={{'namespace': ...}}), or ask for this right: {_SETUP}"
    )


def _not_found(said: str, doing: str, where: str, namespace: str) -> str:
    if re.search(rf'namespaces "?{re.escape(namespace)}"? not found', said):
        return f"{where} has no namespace {namespace!r}. Set ARGO_NAMESPACE or argo={{'namespace': ...}} to one that it has."
    if "could not find the requested resource" in said or "page not found" in said:
        return (
            f"{where} cannot {doing}: it does not know Argo's objects ({said}). Install Argo Workflows with its CRDs, or point "
            "pyflow to a cluster that has it."
        )
    return f"{where} cannot {doing}: {said or 'there is no such object'}."

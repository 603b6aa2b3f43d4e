"""What a cluster refuses becomes an error that says what would work."""

from __future__ import annotations

import ssl

import pytest

from pyflow.errors import AccessDeniedError, ExecutorError, UnreachableError
from pyflow.executors.argo.failure import ExistsError, MissingError, TooLargeError, refusal, unreachable

FORBIDDEN = (
    'workflows.argoproj.io is forbidden: User "system:serviceaccount:team:me" cannot create resource "workflows" in API group '
    '"argoproj.io" in the namespace "prod"'
)


@pytest.mark.parametrize(
    ("status", "message", "kind", "told"),
    [
        (401, "token not valid for running mode", AccessDeniedError, "set ARGO_TOKEN"),
        (401, "", AccessDeniedError, "no token, or an expired one"),
        (403, FORBIDDEN, AccessDeniedError, "does not let 'team/me' create a workflow: it cannot create resource"),
        (403, "not allowed", AccessDeniedError, "pyflow argo setup"),
        (404, 'namespaces "prod" not found', MissingError, "has no namespace 'prod'. Set ARGO_NAMESPACE"),
        (404, "the server could not find the requested resource", MissingError, "Install Argo Workflows with its CRDs"),
        (404, 'workflows.argoproj.io "w" not found', MissingError, '"w" not found'),
        (409, 'workflows.argoproj.io "w" already exists', ExistsError, "already exists"),
        (500, "etcdserver: request is too large", TooLargeError, "batch="),
        (413, "Request entity too large: limit is 3145728", TooLargeError, "below 1 MiB"),
        (500, "template name 'nope' undefined", ExecutorError, "refuses to create a workflow (500): template name"),
        (503, "no endpoints available", UnreachableError, "could not create a workflow now (503)"),
        (500, "leader changed", UnreachableError, "leader changed"),
        (400, "templates.main invalid", ExecutorError, "refuses to create a workflow (400): templates.main invalid"),
    ],
)
def test_each_answer_has_its_error(status, message, kind, told):
    """The kind says whose move it is, the message what would work."""
    error = refusal(status, message, doing="create a workflow", where="The server", namespace="prod")
    assert type(error) is kind
    assert told in str(error)


def test_no_answer_is_told_by_its_cause():
    """A wrong scheme, a certificate that nobody trusts, and a server that is away need different things."""
    told = {}
    for name, error in {
        "certificate": ssl.SSLError("CERTIFICATE_VERIFY_FAILED: self-signed certificate"),
        "old": ssl.SSLError("CERTIFICATE_VERIFY_FAILED: certificate has expired"),
        "other": ssl.SSLError("CERTIFICATE_VERIFY_FAILED: Hostname mismatch, certificate is not valid for 'a'"),
        "none": ssl.SSLError("[X509] PEM lib (_ssl.c:4154)"),
        "plain": ssl.SSLError("[SSL: WRONG_VERSION_NUMBER] wrong version number"),
        "away": ConnectionRefusedError(111, "Connection refused"),
        "closed": ConnectionError("RemoteDisconnected('Remote end closed connection')"),
    }.items():
        told[name] = unreachable(error, doing="create a workflow", where="The server")
    assert "ARGO_INSECURE_SKIP_VERIFY=true" in str(told["certificate"])
    assert "must renew it" in str(told["old"])
    assert "Use an address that it names" in str(told["other"])
    assert "argo.verify_ssl" in str(told["none"])
    assert "ARGO_SECURE=false" in str(told["plain"])
    assert type(told["away"]) is type(told["closed"]) is UnreachableError
    assert "Connection refused. Check the address" in str(told["away"])
    assert "ARGO_SECURE=true" in str(told["closed"])

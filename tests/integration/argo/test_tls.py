"""A store, and an Argo Server, behind TLS with a certificate that only the site's own authority vouches for."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import pytest
from argo_world import kubectl, needs_argo, project, pyflow
from tls_world import tls_front

from pyflow.errors import LostTaskError, PyflowError

pytestmark = needs_argo

FLOWS = """
    from pyflow import container, pipeline, task

    @task
    def numbers(count):
        return list(range(count))

    @task
    def square(x):
        return x * x

    @container(image="busybox:1.36", stdout=True)
    def say(text):
        return ["echo", text]

    @task
    def total(xs, text):
        return sum(xs), text.strip()

    @pipeline
    def all_kinds(count):
        return total(square.map(numbers(count)), say("out of a container"))
"""


@pytest.fixture
def front(tmp_path, monkeypatch):
    """The testbed's store behind TLS, as this process and its pods are to see it."""
    with tls_front(urlsplit(os.environ["AWS_ENDPOINT_URL"]).port, tmp_path) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(front.authority))
        yield front


def test_all_of_a_pod_trusts_the_authority_that_is_named(front, tmp_path, monkeypatch):
    """Argo's own container, pyflow's beside a container task, and the fork that goes on with its parent's connections."""
    flows = project(tmp_path, monkeypatch, FLOWS, s3_ca_secret="pyflow-test-ca")
    made = pyflow("argo", "setup", "--s3-ca-secret", "pyflow-test-ca")
    assert made.returncode == 0, made.stderr
    kubectl("apply", "-f", "-", input=made.stdout)
    try:
        assert flows.all_kinds(3) == (5, "out of a container")
        found = pyflow("doctor", "--executor", "argo")
        assert found.returncode == 0, found.stdout
    finally:
        kubectl("delete", "secret", "pyflow-test-ca")


def test_an_authority_that_pods_do_not_know_is_told(front, tmp_path, monkeypatch):
    """A certificate that is trusted here and not there ends the run with the setting that is missing."""
    flows = project(tmp_path, monkeypatch, FLOWS)
    with pytest.raises(LostTaskError, match="s3_ca_secret"):
        flows.all_kinds(1)


REFUSED = {
    "nobody vouches": r"verify_ssl.*ARGO_INSECURE_SKIP_VERIFY",
    "another name": r"is for another name.*Use an address that it names",
    "no file": r"argo\.verify_ssl must name a file with certificates, got '/nowhere\.pem'",
    "no certificates": r"The file that argo\.verify_ssl names holds no certificates",
}


@pytest.mark.parametrize("way", ["the authority is named", "nothing is checked", *REFUSED])
def test_the_argo_server_may_speak_tls(tmp_path, monkeypatch, way):
    """As it does by default, with a certificate of its own: submitted, watched and read through it, or refused with what would help."""
    port = int(os.environ["ARGO_SERVER"].rpartition(":")[2])
    monkeypatch.delenv("ARGO_SECURE", raising=False)
    with tls_front(port, tmp_path) as front:
        monkeypatch.setenv("ARGO_SERVER", front.url.removeprefix("https://"))
        if way == "nothing is checked":
            monkeypatch.setenv("ARGO_INSECURE_SKIP_VERIFY", "true")
        if way == "another name":
            monkeypatch.setenv("ARGO_SERVER", front.url.removeprefix("https://").replace("127.0.0.1", "localhost"))
        named = {
            "no file": "/nowhere.pem",
            "no certificates": __file__,
            "nobody vouches": None,
            "nothing is checked": None,
        }
        flows = project(tmp_path, monkeypatch, FLOWS, verify_ssl=named.get(way, str(front.authority)))
        if way in REFUSED:
            with pytest.raises(PyflowError, match=REFUSED[way]):
                flows.all_kinds(2)
            return
        run = flows.all_kinds.submit(2)
        words = pyflow("logs", run.id, "--follow")
        assert words.returncode == 0, words.stderr
        assert "out of a container" in words.stdout
        assert run.result() == (1, "out of a container")

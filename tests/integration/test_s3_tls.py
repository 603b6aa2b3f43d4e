"""A bucket behind TLS whose certificate only the site's own authority vouches for."""

from __future__ import annotations

import subprocess
import sys
import uuid

import pytest
from integration.docker_tasks import double
from servers import BUCKET
from tls_world import tls_front

from pyflow import pipeline
from pyflow.errors import ExecutorError, StoreError
from pyflow.images import has_engine

DOCKER = pytest.param(
    "docker", marks=[pytest.mark.docker, pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")]
)


@pipeline
def doubled(n):
    return double.map(double.map(range(n)))


@pytest.fixture
def front(seaweed, tmp_path, monkeypatch):
    """The way to the server, for this process and those that it starts; nobody is trusted yet."""
    seaweed.enter(monkeypatch)
    with tls_front(seaweed.port, tmp_path) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.url)
        yield front


@pytest.fixture
def url():
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


def on(executor, url):
    return doubled.with_options(
        executor=executor, store=url, progress=False, defaults={"network": "host"} if executor == "docker" else {}
    )


@pytest.mark.parametrize("executor", ["inprocess", "local", DOCKER])
def test_the_authority_is_trusted_wherever_tasks_run(front, url, executor, monkeypatch):
    """What ``AWS_CA_BUNDLE`` names holds in workers and containers, too."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(front.authority))
    assert on(executor, url)(3) == [0, 4, 8]


@pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")
@pytest.mark.docker
def test_the_authority_may_stand_in_the_configuration(front, url, tmp_path, monkeypatch):
    """``ca_bundle`` of AWS's own file is what boto3 reads here, so a container gets it as well."""
    (tmp_path / "config").write_text(f"[default]\nca_bundle = {front.authority}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert on("docker", url)(3) == [0, 4, 8]


def test_a_certificate_that_nobody_vouches_for_is_told(front, url):
    """The error names the variable that mends it."""
    with pytest.raises(StoreError, match=r"CERTIFICATE_VERIFY_FAILED.*Set AWS_CA_BUNDLE"):
        on("local", url)(1)


def test_an_address_that_the_certificate_does_not_name_is_told(front, url, monkeypatch):
    """That another one is meant, and not that nobody vouches for it."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(front.authority))
    monkeypatch.setenv("AWS_ENDPOINT_URL", front.url.replace("127.0.0.1", "localhost"))
    with pytest.raises(StoreError, match="Set AWS_ENDPOINT_URL to a name that the store's certificate is for"):
        on("local", url)(1)


def test_a_store_without_tls_is_told(seaweed, url, monkeypatch):
    """``https`` where there is plain ``http`` is a mistake, and not a store that is away for a while."""
    seaweed.enter(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", seaweed.endpoint.replace("http:", "https:"))
    with pytest.raises(StoreError, match=r"does not seem to speak TLS.*http or https"):
        on("local", url)(1)


def test_certificates_that_are_not_there_are_told(front, url, monkeypatch):
    """A path that leads nowhere is named, not taken for a store that is away."""
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(StoreError, match=r"now /nowhere/ca\.pem, name a file"):
        on("local", url)(1)


@pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")
@pytest.mark.docker
def test_a_container_cannot_be_given_certificates_that_are_not_there(seaweed, url, monkeypatch):
    """A store without TLS needs none, and yet a task's own requests may."""
    seaweed.enter(monkeypatch)
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(ExecutorError, match=r"/nowhere/ca\.pem, cannot be read"):
        on("docker", url)(1)


def test_the_child_of_a_fork_goes_on_with_its_parents_connection(front, url, monkeypatch):
    """The parent's closing says nothing to the server, so that what the child sends next is understood."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(front.authority))
    program = f"""
import os
from pyflow.store import open_blobs
blobs = open_blobs({url!r})
blobs.put("v1/a", [b"before"])
child = os.fork()
for turn in range(3):
    blobs.put(f"v1/{{child and 'parent'}}-{{turn}}", [b"x" * 100_000])
    assert blobs.get("v1/a") == b"before"
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert len(list(blobs.list("v1"))) == 7
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

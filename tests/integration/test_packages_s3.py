"""Packages of tasks in a bucket: kept once, fetched by processes and containers, and not used when a bit has flipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
from indexes import need_index
from integration.packaged import one_in_a_bucket, two_in_a_bucket
from servers import BUCKET

from pyflow import configure, errors
from pyflow.api import find_run, open_workplace
from pyflow.config import Settings, reset
from pyflow.environments import environments_folder
from pyflow.environments.uv import find_uv
from pyflow.images import has_engine
from pyflow.store import open_blobs

pytestmark = [pytest.mark.slow]
IN_CONTAINERS = pytest.param(
    "docker", marks=[pytest.mark.docker, pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")]
)


@pytest.fixture
def url(seaweed, monkeypatch, tmp_path):
    """A store in a bucket, and a cache of this test's own."""
    need_index()
    home = subprocess.run([find_uv(), "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    seaweed.enter(monkeypatch)
    # The server listens on this machine's own address, which only the machine's network has.
    configure(docker={"network": "host"})
    yield f"s3://{BUCKET}/{uuid.uuid4().hex}"
    reset()


def written(url):
    """When each blob of the store was written."""
    return {info.key: info.modified_at for info in open_blobs(url).list("v1") if "/blobs/" in info.key}


@pytest.mark.parametrize("executor", ["local", IN_CONTAINERS])
def test_packages_are_kept_in_the_bucket_once(url, executor, monkeypatch):
    """The second run starts no uv and writes no archive again; one archive has several chunks."""
    chosen = two_in_a_bucket.with_options(executor=executor, store=url, progress=False)
    expected = ({"a": {"b": "c"}}, ("2.2.6", 10))
    first = chosen.submit()
    assert first.result() == expected
    archives = [options.environment for options in first.graph.options if options.environment]
    assert max(archive["size"] for archive in archives) > 16 * 2**20
    before = written(url)
    assert sum(any(archive["digest"] in key for archive in archives) for key in before) >= len(archives) + 1
    monkeypatch.setattr("pyflow.environments.uv.find_uv", lambda: pytest.fail("uv was asked for"))
    second = chosen.submit()
    assert second.result() == expected
    assert [o.environment for o in second.graph.options if o.environment] == archives
    after = written(url)
    assert {key: after[key] for key in before} == before
    assert not [key for key in after.keys() - before.keys() if any(archive["digest"] in key for archive in archives)]


@pytest.mark.parametrize("executor", ["local", IN_CONTAINERS])
def test_an_archive_with_a_flipped_bit_is_not_run(url, executor):
    """Whoever has to unpack it finds out before anything of it is imported, and the task does not run."""
    chosen = one_in_a_bucket.with_options(executor=executor, store=url, progress=False)
    run = chosen.submit()
    assert run.result() == {"a": {"b": "c"}}
    [digest] = [options.environment["digest"] for options in run.graph.options if options.environment]
    blobs = open_blobs(url)
    [key] = [info.key for info in blobs.list("v1") if info.key.endswith(f"/{digest}")]
    data = bytearray(blobs.get(key))
    data[len(data) // 2] ^= 1
    blobs.put(key, [bytes(data)])
    shutil.rmtree(Path(environments_folder(), digest))
    with pytest.raises(errors.IntegrityError) as raised:
        chosen()
    assert digest[:12] in str(raised.value)
    latest = find_run("latest", open_workplace(Settings(store=url)))
    assert (latest.id != run.id, latest.status, latest.logs()) == (True, "failed", "")
    assert not Path(environments_folder(), digest).exists()

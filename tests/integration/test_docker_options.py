"""Options and stores of containers on a real engine: GPUs, tiny shares of a processor, networks, a bucket, memory that grows."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from uuid import uuid4

import pytest
from integration.docker_tasks import double

from pyflow import container, errors, pipeline, task
from pyflow.images import has_engine

pytestmark = [pytest.mark.docker, pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")]


@pytest.fixture
def on(tmp_path):
    """Sets a pipeline to run in containers, with a store of this test's own."""
    return lambda flow, **more: flow.with_options(
        **{"executor": "docker", "store": str(tmp_path / "store"), "progress": False, **more}
    )


def of(call, *args):
    """A pipeline of one call."""

    @pipeline
    def flow():
        return call(*args)

    return flow


def test_memory_grows_until_it_suffices(on):
    """Each death by lack of memory is told as such, and the next attempt has twice as much."""

    @task(memory="64Mi", memory_on_oom="256Mi", retries=2, backoff=0)
    def needs_more():
        return len(bytearray(80 * 2**20))

    run = on(of(needs_more)).submit()
    assert run.result() == 80 * 2**20
    ended = [event for event in run.events() if event["event"] == "ended"]
    assert [event["attempt"] for event in ended] == [1, 2]
    assert ended[0]["error"]["type"] == "pyflow.errors.OutOfMemoryError"
    assert "its limit of 64 MiB" in ended[0]["error"]["message"]


def test_memory_that_a_child_ran_out_of_is_told_though_the_container_ends_well(on):
    """What it printed meanwhile is no result: a part of the work was killed."""
    script = 'sh -c "x=aaaaaaaa; while :; do x=\\$x\\$x; done"; echo the rest'

    @container(image="busybox:1.36", stdout=True, memory="32Mi")
    def part():
        return ["sh", "-c", script]

    with pytest.raises(errors.OutOfMemoryError, match="its limit of 32 MiB"):
        on(of(part))()


def test_a_tiny_share_of_a_processor_is_still_one(on):
    """The kernel takes no share below a hundredth; less is asked for as that."""

    @task(cpus=0.005)
    def little():
        old = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        return (old if old.exists() else Path("/sys/fs/cgroup/cpu.max")).read_text().split()[0]

    assert on(of(little.with_options(timeout="5m")))() == "1000"


def test_gpus_without_a_gpu_are_told(on):
    """Where the engine has no GPU the error says so, and what the engine said."""
    with pytest.raises(errors.LostTaskError, match="The engine has no GPUs to give"):
        on(of(double.with_options(gpus=1), 2))()


def test_the_network_is_taken_away_or_shared(on):
    """Without a network there is the loopback alone; the host's is the host's."""

    @task
    def probe():
        # Not the host's interfaces: they come and go with other containers.
        return sorted(name for _, name in socket.if_nameindex()), str(Path("/proc/self/ns/net").readlink())

    assert on(of(probe.with_options(network="none")))()[0] == ["lo"]
    assert on(of(probe.with_options(network="host")))()[1] == probe()[1]


@pytest.mark.skipif("PYFLOW_TEST_S3" not in os.environ, reason="no S3 server: see CONTRIBUTING.md")
def test_a_store_in_a_bucket(on):
    """With a bucket no folder is mounted; on this machine's own address it takes the host's network, which the error says."""
    store = f"{os.environ['PYFLOW_TEST_S3']}/{uuid4().hex[:12]}"

    @pipeline
    def flow():
        return double.with_options(network="host").map(range(3))

    assert on(flow, store=store)() == [0, 2, 4]
    if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://127."):
        with pytest.raises(errors.ExecutorError, match='Say network="host"'):
            on(of(double, 2), store=store)()

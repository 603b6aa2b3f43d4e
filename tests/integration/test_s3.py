"""Pipelines whose store is a bucket: the same results, logs and listings as with a folder, from another process too."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from servers import BUCKET

from pyflow import errors, load_run, pipeline, task


@task
def inc(x: int) -> int:
    print("inc", x)
    return x + 1


@task
def total(xs: list[int], blob: bytes) -> int:
    return sum(xs) + len(blob)


@task
def large(n: int) -> bytes:
    return bytes(n)


@task
def fail(x: int) -> int:
    print("about to fail")
    raise ValueError(f"no {x}")


@task(retries=1)
def die(marker: str) -> str:
    print("about to die", flush=True)
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(3)
    return "alive"


@pipeline
def fan(n: int):
    return total(inc.map(range(n)), large(20_000_000)), inc(n)


@pipeline
def failing():
    return fail(inc(1))


@pipeline
def dying(marker: str):
    return die(marker)


@pytest.fixture
def url(seaweed, monkeypatch) -> str:
    seaweed.enter(monkeypatch)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.mark.parametrize("executor", ["inprocess", "local"])
def test_a_pipeline_keeps_its_results_in_a_bucket(url, executor, tmp_path):
    """Results, logs and states are those of a folder, and any process finds them by the store's URL."""
    here = fan.with_options(executor=executor, store=url).submit(5)
    assert here.wait() == "succeeded"
    there = fan.with_options(executor=executor, store=tmp_path / "store").submit(5)
    assert here.result() == there.result() == (20_000_015, 6)
    again = load_run(here.id, store=url)
    assert sorted(again.logs().splitlines()) == [f"inc {n}" for n in range(6)]
    assert {name: node.status for name, node in again.nodes.items()} == {
        name: node.status for name, node in there.nodes.items()
    }


@pytest.mark.parametrize("executor", ["inprocess", "local"])
def test_a_failure_is_kept_in_a_bucket(url, executor):
    """A task's own error comes back from the bucket, with what it had printed."""
    run = failing.with_options(executor=executor, store=url).submit()
    assert run.wait() == "failed"
    with pytest.raises(ValueError, match="no 2"):
        load_run(run.id, store=url).result()
    assert run.logs("fail") == "about to fail\n"


def test_the_log_of_a_dead_worker_reaches_the_bucket(url, tmp_path):
    """What a worker had printed when it died is in the log, once, and its task runs again."""
    run = dying.with_options(executor="local", store=url).submit(str(tmp_path / "marker"))
    assert run.wait() == "succeeded"
    assert run.logs("die") == "about to die\n" * 2


def test_the_command_line_reads_a_bucket(url):
    """``ls``, ``show`` and ``logs`` take the store's URL."""
    run = fan.with_options(executor="local", store=url).submit(2)
    run.wait()
    for words, said in ((["ls"], run.id), (["show", run.id], "succeeded"), (["logs", run.id], "inc 1")):
        command = [sys.executable, "-m", "pyflow.cli", *words, "--store", url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert said in done.stdout


def test_a_bucket_that_does_not_exist_is_told_before_anything_runs(url):
    """The error names the bucket's store and what to check."""
    with pytest.raises(errors.StoreError, match="make the bucket"):
        fan.with_options(executor="local", store="s3://no-such-bucket/x")(2)

"""Every kind of manifest passes the real server's own check, and the CRDs of the cluster."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from golden.test_argo import made
from unit.executors.argo.compiling import SETTINGS, manifest_of

from pyflow import Secret, Volume, container, pipeline, task
from pyflow.executors.argo import argo_settings, open_cluster

pytestmark = [
    pytest.mark.argo,
    pytest.mark.skipif("ARGO_SERVER" not in os.environ, reason="no cluster with Argo: see CONTRIBUTING.md"),
]


@task
def give(x):
    return x


@task
def add(*xs):
    return sum(xs)


@container(image="busybox:1.36", outputs={"out": "/work/out.txt"})
def shell(text):
    return ["sh", "-c", f"echo {text}"]


@pipeline
def wide(n):
    return add(*[give(i) for i in range(n)])


@pipeline
def all_options():
    known, unknown = shell("{{x}} $(HOME)"), shell(give("later"))
    every = give.with_options(
        cpus=1.5, memory="1Gi", memory_on_oom="4Gi", gpus=1, disk="2Gi", retries=3, timeout="10m", run_as_root=True,
        env={"TOKEN": Secret("db", key="password")}, labels={"team": "a"}, node_selector={"pool": "big"},
        tolerations=[{"key": "gpu", "operator": "Exists"}], service_account="worker", platform="linux/amd64",
        volumes={"/mnt/a": Volume.named("shared-data"), "/mnt/b": Volume.claim("claim"), "/mnt/c": Volume.secret("s"),
                 "/mnt/d": Volume.config("c"), "/mnt/e": Volume.host("/data"), "/mnt/f": Volume.scratch("1Gi")},
        pod_patch={"hostname": "{{workflow.name}}"},
    )(1)  # fmt: skip
    return known, unknown, every


SITE: dict[str, Any] = {
    "image_pull_secrets": ("registry",), "labels": {"team": "a"}, "annotations": {"note": "b"}, "node_selector": {"pool": "all"},
    "tolerations": ({"key": "spot", "operator": "Exists"},), "priority_class": "low", "parallelism": 3, "run_timeout_s": 60.0,
    "keep_for_s": 3600.0, "s3_credentials": "workload-identity",
}  # fmt: skip
"""Settings of a site that the testbed has no use for."""


@pytest.fixture(scope="module", params=["server", "kubernetes"])
def cluster(request: pytest.FixtureRequest) -> Any:
    return open_cluster(argo_settings({"api": request.param}, os.environ))


@pytest.mark.parametrize("name", ["golden", "ends in one", "wide", "options"])
def test_the_cluster_takes_it(cluster: Any, name: str) -> None:
    """The real Argo Server lints the manifest, and the Kubernetes API would take it."""
    manifest = {
        "golden": lambda: made("workflow"),
        "ends in one": lambda: made("workflow_ends_in_one"),
        "wide": lambda: manifest_of(wide, 1000),
        "options": lambda: manifest_of(all_options, settings=replace(SETTINGS, **SITE)),
    }[name]()
    manifest["metadata"].pop("namespace", None)
    cluster.lint(manifest)

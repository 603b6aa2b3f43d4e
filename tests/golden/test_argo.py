"""The manifest of a workflow, field by field: a change shows as a diff.

``PYFLOW_TEST_UPDATE=1 pytest tests/golden`` writes the file anew; look at the diff, and run the tests marked ``argo``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyflow import container, each, first_of, otherwise, pipeline, task, when
from pyflow.contract import Home
from pyflow.executors.argo import ArgoSettings, to_workflow
from pyflow.executors.argo.place import Travelling
from pyflow.packing import pack
from pyflow.store import ContentStore, Keys, open_blobs

HERE = Path(__file__).parent


@task
def load(n): ...


@task(cpus=2, memory="2Gi", memory_on_oom="8Gi", retries=2, backoff="2s", timeout="30m")
def fit(x, *, lr): ...


@task
def report(outcome): ...


@container(image="busybox:1.36", inputs={"data": "/in/data.txt"}, outputs={"out": "/out/result.txt"})
def shell(data, word):
    return ["sh", "-c", "cat /in/data.txt > /out/result.txt", word]


@pipeline
def per_scene(scene):
    parts = load(scene)
    return fit.map(parts, lr=0.1)


@pipeline(on_exit=report, parallelism=4)
def everything(n):
    items = load(n)
    models = fit.with_options(batch=10).map(items, lr=each([1, 2]))
    scenes = per_scene.map(["a", "b"])
    with when(items["size"] > 3):
        taken = shell(load(models), "{{hostile}} $(HOME)")
    with otherwise():
        taken_not = fit(scenes, lr=1)
    return first_of(taken, taken_not), scenes


@pipeline
def ends_in_one(n):
    """One task comes behind all others, so its pod ends the run."""
    return report([fit(load(n), lr=1), fit(load(n), lr=2)])


GRAPHS = {"workflow": everything, "workflow_ends_in_one": ends_in_one}


def made(name: str) -> dict[str, Any]:
    """The manifest of a pipeline above; what depends on this machine is left out."""
    content = ContentStore(open_blobs("memory://golden-argo"), Keys("p", "o"))
    packed = pack(GRAPHS[name].trace(3), content)
    settings = ArgoSettings(
        namespace="team", service_account="pyflow", s3_secret="s3", key_secret="pyflow-key", s3_region="eu-1",
        s3_endpoint="https://store.example.org", image="registry.example.org/python:3.12", run_timeout_s=7200,
        labels={"cost-centre": "earth"}, annotations={"example.org/owner": "team"},
    )  # fmt: skip
    return to_workflow(
        packed.graph,
        digest="d" * 64,
        size=1234,
        home=Home(store_url="s3://bucket/team", project="p", owner="o"),
        settings=settings,
        runtime=Travelling(key="v1/runtimes/" + "e" * 64, sha256="e" * 64, in_image="/pyflow-runtime-eeee"),
    )


@pytest.mark.parametrize("name", GRAPHS)
def test_the_manifest_is_as_it_was(name: str) -> None:
    """The same pipeline and settings give the same manifest."""
    text = json.dumps(made(name), indent=1) + "\n"
    file = HERE / f"{name}.json"
    if os.environ.get("PYFLOW_TEST_UPDATE"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")

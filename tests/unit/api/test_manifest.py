"""A manifest that was compiled is plain JSON, and a notebook shows it as a tree."""

from __future__ import annotations

import json

import yaml
from servers import BUCKET

from pyflow import pipeline, task
from pyflow.executors.argo import executor as argo_executor


@task
def double(x):
    return 2 * x


@pipeline
def doubles(xs):
    return double.map(xs)


def test_a_notebook_shows_a_manifest_as_a_tree(monkeypatch, moto):
    """And programs see a dictionary; no cluster is asked."""
    moto.enter(monkeypatch)
    monkeypatch.setattr(argo_executor, "open_cluster", lambda _settings: None)
    made = doubles.with_options(store=f"s3://{BUCKET}/compiled", argo={"trust_bucket": True}).compile([1, 2])
    assert made._repr_json_() == json.loads(json.dumps(made)) == made
    assert made["kind"] == "Workflow"
    for dump in (yaml.safe_dump, yaml.dump):
        assert yaml.safe_load(dump(made)) == made

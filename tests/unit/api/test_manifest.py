"""A manifest that was compiled is plain JSON, and a notebook shows it as a tree."""

from __future__ import annotations

import json
import re
import sys

import pytest
import yaml
from servers import BUCKET

from pyflow import errors, pipeline, task
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
    made = doubles.with_options(
        store=f"s3://{BUCKET}/compiled", argo={"trust_bucket": True, "image": "team/science:3"}
    ).compile([1, 2])
    assert made._repr_json_() == json.loads(json.dumps(made)) == made
    assert made["kind"] == "Workflow"
    assert re.fullmatch(r"at most 3 pods; \d+ bytes of manifest .*", made.expected)
    for dump in (yaml.safe_dump, yaml.dump):
        assert yaml.safe_load(dump(made)) == made


def test_a_place_with_another_python_is_refused_before_anything_is_sent(monkeypatch, moto):
    """No cluster could say so before the pod is there; the message says what would fit."""
    moto.enter(monkeypatch)

    @pipeline
    def flow():
        return double.with_options(image="team/tools:1", python="3.8")(2)

    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    why = rf"'python' of 'double'.*to have Python 3\.8, and this is Python {here}.*take an image with Python {here}"
    with pytest.raises(errors.ExecutorError, match=why):
        flow.with_options(
            store=f"s3://{BUCKET}/other", argo={"trust_bucket": True, "image": "team/science:3"}
        ).compile()


def test_a_store_on_this_machine_is_a_wrong_setting():
    """Pods cannot reach a folder, and the same is said whether a run is compiled or submitted."""
    chosen = doubles.with_options(argo={"image": "team/science:3"})
    for make in (chosen.compile, chosen.with_options(executor="argo").submit):
        with pytest.raises(errors.ConfigError, match=r"Pods cannot reach the store .*store='s3://bucket/prefix'"):
            make([1])

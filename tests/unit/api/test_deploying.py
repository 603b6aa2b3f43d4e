"""A deployed pipeline gets its parameters from a task, and what is wrong with them is told before anything starts."""

from __future__ import annotations

import base64
import json

import pytest
from fake_cluster import FakeCluster
from servers import BUCKET

from pyflow import pipeline, task
from pyflow.api import deploying, load_deployment, open_workplace
from pyflow.config import Settings
from pyflow.errors import DefinitionError, ExecutorError, PyflowError
from pyflow.executors.argo import executor as argo_executor
from pyflow.upkeep import Collector


@task
def double(x):
    return 2 * x


@task
def add(a, note, rate):
    return sum(a), note, rate


@pipeline
def nightly(items: list, note: str, rate: float = 0.5):
    return add(double.map(items), note, rate)


@pytest.fixture
def cluster(monkeypatch):
    """A cluster in memory behind the executor, and a bucket in memory."""
    made = FakeCluster()
    monkeypatch.setattr(argo_executor, "open_cluster", lambda _settings: made)
    monkeypatch.setattr(argo_executor, "check_store", lambda _content, _url: None)
    return made


def parameters(**values):
    return base64.b64encode(json.dumps([{"name": n, "value": v} for n, v in values.items()]).encode()).decode()


def test_a_deployed_graph_runs_with_values_given_later(monkeypatch, tmp_path):
    """The first task reads them; a map over one of them, and a default, are nothing special."""
    graph, found = deploying.deployable(nightly.definition)
    assert [p.name for p in found] == ["items", "note", "rate"]
    assert next(node.name for node in graph.walk()) == "parameters"
    monkeypatch.setenv(deploying.VARIABLE, parameters(items="[1, 2, 3]", note="{{x}} 7", rate="2"))
    values = deploying.given.fn([(p.name, p.annotation) for p in found])
    assert values == {"items": [1, 2, 3], "note": "{{x}} 7", "rate": 2.0}


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [("7", "str", "7"), ("7", "int", 7), ("7", "float", 7.0), ("true", "bool", True), ("abc", "", "abc"), ("7", "", 7)],
)
def test_a_value_is_read_by_its_type(text, annotation, value):
    """What somebody types in Argo's own page has no quotes."""
    found = deploying.value_of(text, annotation, "x")
    assert (found, type(found)) == (value, type(value))
    assert deploying.value_of(deploying.text_of(value, annotation, "x"), annotation, "x") == value


@pytest.mark.parametrize(("text", "annotation"), [("seven", "int"), ("[1]", "dict"), (None, "str")])
def test_a_value_of_another_type_fails_the_run(text, annotation):
    """In its first task, with the name of the parameter."""
    with pytest.raises(ValueError, match="The parameter 'x'"):
        deploying.value_of(text, annotation, "x")


def test_a_value_that_is_not_plain_is_refused():
    """The message says what to do instead."""
    with pytest.raises(DefinitionError, match="takes plain values"):
        deploying.text_of(object(), "", "x")


def test_unknown_and_missing_values_are_told_together():
    """Before the cluster is asked."""
    rows = [("items", "list", False), ("rate", "float", True)]
    with pytest.raises(DefinitionError, match="'nightly' has no parameter 'itms' and needs a value for 'items'"):
        deploying._texts(rows, {"itms": [1]}, "nightly")


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        ("datetime.date", "date"),
        ("Mode | None", "Mode"),
        ("tuple[int, int]", "tuple"),
        ("list[pathlib.Path]", "Path"),
        ("Cfg", "Cfg"),
    ],
)
def test_parameters_that_nobody_can_type_are_refused(annotation, told):
    """A task would get a text where it is written for something else."""
    with pytest.raises(
        DefinitionError, match=rf"'day' of pipeline 'nightly' is annotated .* let a task make {told} of it"
    ):
        deploying._check_plain("day", annotation, "nightly")


@pytest.mark.parametrize(
    "annotation",
    [
        "",
        "str",
        "int | None",
        "Optional[list[float]]",
        "typing.Literal['Path', \"Mode\", 3]",
        "dict[str, Any]",
        "collections.abc.Sequence[str]",
    ],
)
def test_plain_parameters_are_taken(annotation):
    """What JSON has, however it is annotated."""
    deploying._check_plain("day", annotation, "nightly")


def test_somebody_elses_template_is_not_started(cluster):
    """It says nothing of a graph."""
    cluster.kept["WorkflowTemplate", "other"] = {"metadata": {"name": "other"}}
    with pytest.raises(ExecutorError, match="was not put there by pyflow"):
        load_deployment("other", open_workplace(Settings(store="s3://bucket/team")))


def test_what_argo_would_not_take_is_not_put_there(cluster, monkeypatch, moto):
    """Template and schedule are looked at like any manifest, both before the first of them is there."""
    moto.enter(monkeypatch)
    chosen = nightly.with_options(
        store=f"s3://{BUCKET}/looked-at", argo={"trust_bucket": True, "image": "team/science:3"}
    )
    values = {"items": [1], "note": "{{x}}"}
    with pytest.raises(PyflowError, match=r"a field that Argo does not know so: spec\.timezone"):
        chosen.deploy(schedule="@daily", values=values, timezone=1)
    assert not cluster.kept
    chosen.deploy(schedule="@daily", values=values, timezone="Europe/Berlin")
    assert set(cluster.kept) == {("WorkflowTemplate", "nightly"), ("CronWorkflow", "nightly")}


def test_what_a_deployment_needs_is_not_collected(cluster, monkeypatch, moto):
    """There may be no run of it for months; when it is taken off, its blobs may go."""
    moto.enter(monkeypatch)
    store = f"s3://{BUCKET}/deployed"
    kept = nightly.with_options(store=store, argo={"trust_bucket": True, "image": "team/science:3"}).deploy()
    content = open_workplace(Settings(store=store)).content
    assert Collector(content, grace=None).collect().blobs == 0
    kept.remove()
    assert Collector(content, grace=None).collect().blobs > 0

"""A deployed pipeline gets its parameters from a task, and what is wrong with them is told before anything starts."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace

import pytest
from fake_cluster import FakeCluster
from servers import BUCKET

from pyflow import container, load_run, pipeline, task
from pyflow.api import list_runs, load_deployment, open_workplace
from pyflow.config import Settings
from pyflow.errors import DefinitionError, ExecutorError, NotFoundError, PyflowError
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


@pytest.fixture
def team(cluster, monkeypatch, moto):
    """What a project's settings say, with a bucket to keep its runs in."""
    moto.enter(monkeypatch)
    return {
        "store": f"s3://{BUCKET}/team-{time.monotonic_ns()}",
        "argo": {"trust_bucket": True, "image": "team/science:3"},
    }


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


@pipeline(name="handle")
def first(a: int = 1):
    return double(a)


@pipeline(name="handle")
def second(a: int = 1):
    return double(double(a))


def test_a_handle_starts_what_is_deployed_now(cluster, team):
    """A colleague may have deployed the pipeline anew: the run's record names what runs, so that its result can be read."""
    old = first.with_options(**team).deploy()
    new = second.with_options(**team).deploy()
    run = old.run(a=5)
    assert run.record.graph_digest == new._deployed.graph_digest != old._deployed.graph_digest
    assert run.graph.to_bytes() == new.run(a=5).graph.to_bytes()


def test_parameters_are_those_of_what_is_deployed_now(cluster, team):
    """A handle of an earlier version does not keep its parameters."""
    old = first.with_options(**team).deploy()
    nightly.with_options(name="handle", **team).deploy()
    with pytest.raises(DefinitionError, match="'handle' has no parameter 'a' and needs a value for 'items', 'note'"):
        old.run(a=5)


@pytest.mark.parametrize("refused", [("lint", "CronWorkflow"), ("apply", "CronWorkflow")])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_deploy_that_fails_leaves_what_was_there(cluster, team, refused, is_there):
    """A schedule that the cluster does not take changes neither the template nor what the collector of garbage must keep."""
    if is_there:
        second.with_options(**team).deploy()
    cluster.refused.add(refused)
    before = dict(cluster.kept)
    with pytest.raises(ExecutorError, match="refuses"):
        first.with_options(**team).deploy(schedule="not cron")
    specs = [{key: one["spec"] for key, one in kept.items()} for kept in (before, cluster.kept)]
    assert specs[0] == specs[1]
    content = open_workplace(Settings(store=team["store"])).content
    if is_there:
        digest = load_deployment("handle", open_workplace(Settings(store=team["store"])))._deployed.graph_digest
        assert Collector(content, grace=None).collect().blobs >= 1
        assert content.has_blob(digest)
    else:
        assert not list(content.blobs.list(content.keys.deployment("handle")))


def test_what_is_checked_before_anything_is_replaced_needs_no_template(cluster, team, monkeypatch):
    """The schedule is looked at with the new template's text in it: the one on the cluster may have other parameters, or not be there."""
    looked = []
    monkeypatch.setattr(cluster, "lint", looked.append)
    nightly.with_options(**team).deploy(schedule="@daily", values={"items": [1], "note": "x"})
    (trial,) = looked
    assert (trial["kind"], trial["spec"]["schedules"]) == ("CronWorkflow", ["@daily"])
    assert "workflowTemplateRef" not in trial["spec"]["workflowSpec"]
    given = {one["name"]: one["value"] for one in trial["spec"]["workflowSpec"]["arguments"]["parameters"]}
    assert given == {"items": "[1]", "note": "x", "rate": "0.5"}


def test_values_without_a_schedule_are_refused(cluster, team):
    """They are for runs that start by themselves; who starts a run would wonder where they are."""
    with pytest.raises(
        DefinitionError, match=r"Values \(a, zzz\) are for the runs of 'handle' that start by themselves"
    ):
        first.with_options(**team).deploy(values={"a": 77, "zzz": 1})
    with pytest.raises(DefinitionError, match="A timezone is for the runs"):
        first.with_options(**team).deploy(timezone="Europe/Berlin")
    assert not cluster.kept


def test_scheduled_values_are_checked_by_their_types(cluster, team):
    """Before they fail at night."""
    with pytest.raises(DefinitionError, match="'a' is of type int, and 'five' is not of type int"):
        first.with_options(**team).deploy(schedule="@daily", values={"a": "five"})
    assert not cluster.kept


def test_a_template_of_another_project_is_not_started(cluster, team):
    """Its runs go into the store of who deployed it, where nobody here would find them."""
    first.with_options(**team).deploy()
    for other, told in (
        ({"store": f"s3://{BUCKET}/elsewhere"}, f"set PYFLOW_STORE={team['store']}"),
        ({"store": team["store"], "project": "another"}, "set PYFLOW_PROJECT="),
        ({"store": team["store"], "owner": "somebody"}, "set PYFLOW_OWNER="),
    ):
        deployment = load_deployment("handle", open_workplace(Settings(**other)))
        with pytest.raises(ExecutorError, match=f"'handle' was not started: .*{told}"):
            deployment.run_with_texts({})
    assert not cluster.workflows


def test_what_cannot_be_recorded_is_not_started(cluster, team):
    """A template whose graph is gone from the store makes no run that nobody can look at."""
    kept = first.with_options(**team).deploy()
    content = open_workplace(Settings(store=team["store"])).content
    content.blobs.delete([content.keys.blob(kept._deployed.graph_digest)])
    with pytest.raises(PyflowError, match="holds nothing under"):
        kept.run()
    assert not cluster.workflows


def test_parameters_that_no_pod_can_be_started_with_are_refused(cluster, team):
    """All of them travel in one variable, and Linux has a limit for those."""
    kept = nightly.with_options(**team).deploy()
    kept.run(items=[], note="x" * 90_000)
    with pytest.raises(DefinitionError, match=r"can be started with 96,000\. The longest is 'note'"):
        kept.run(items=[], note="x" * 100_000)
    with pytest.raises(DefinitionError, match="The longest is 'note'"):
        kept.run_with_texts({"items": "[]", "note": "<" * 20_000})
    with pytest.raises(DefinitionError, match="The longest is 'note'"):
        nightly.with_options(**team).deploy(schedule="@daily", values={"items": [], "note": "x" * 100_000})
    assert len(cluster.workflows) == 1


def started_by_argo(cluster, template, **texts):
    """A workflow that pyflow has not started; its uid."""
    workflow = cluster.workflows[cluster.start(template, texts)["metadata"]["name"]]
    workflow["metadata"]["uid"] = str(uuid.uuid4())
    return workflow["metadata"]["uid"]


@pytest.fixture
def here(team, monkeypatch):
    """The settings in the environment, for what finds runs by their ids."""
    monkeypatch.setenv("PYFLOW_STORE", team["store"])
    return team


def test_a_run_that_argo_has_started_is_there_before_its_first_pod(cluster, here):
    """By the uid of its workflow, with what it was given; it can be looked at and ended, and nothing is written in its name."""
    first.with_options(**here).deploy()
    uid = started_by_argo(cluster, "handle", a="5")
    run = load_run(uid)
    assert (run.id, run.status, run.record.pipeline, run.record.arguments) == (uid, "pending", "handle", "a=5")
    assert [node.status for node in run.nodes.values()] == ["pending"] * len(run.nodes)
    assert uid not in {run.id for run in list_runs()}
    run.cancel()
    (workflow,) = cluster.workflows.values()
    assert workflow["spec"]["shutdown"] == "Stop"


def test_what_was_deployed_when_it_started_is_what_runs(cluster, here):
    """The controller keeps what it has read of the template; that may have been replaced meanwhile."""
    old = first.with_options(**here).deploy()
    uid = started_by_argo(cluster, "handle", a="5")
    (workflow,) = cluster.workflows.values()
    workflow["status"] = {"storedWorkflowTemplateSpec": cluster.kept["WorkflowTemplate", "handle"]["spec"]}
    second.with_options(**here).deploy()
    assert load_run(uid).record.graph_digest == old._deployed.graph_digest


def test_workflows_of_others_are_no_runs(cluster, here):
    """Of another project, or none of pyflow's; and where there is no cluster the store alone is asked."""
    first.with_options(**{**here, "project": "another"}).deploy()
    uid = started_by_argo(cluster, "handle")
    name = cluster.create({"metadata": {"generateName": "x-"}, "spec": {"templates": [{"name": "a", "dag": {}}]}})
    cluster.workflows[name["metadata"]["name"]]["metadata"]["uid"] = other = str(uuid.uuid4())
    for text in (uid, other, str(uuid.uuid4())):
        with pytest.raises(NotFoundError):
            load_run(text)
    cluster.fails = ExecutorError("away")
    with pytest.raises(NotFoundError):
        load_run(uid)


def test_the_record_of_a_pod_takes_the_place_of_what_the_cluster_told(cluster, here, tmp_path):
    """A result is believed by what somebody with a key has written."""
    first.with_options(**here).deploy()
    uid = started_by_argo(cluster, "handle")
    run = load_run(uid)
    assert not run.record.is_kept
    with pytest.raises(NotFoundError, match="has no run"):
        run.unpack_code(tmp_path)
    content = open_workplace(Settings()).content
    replace(run.record, host="pod").write(content)
    assert tmp_path in run.unpack_code(tmp_path).parents
    assert (run.record.host, load_run(uid).record.host) == ("pod", "pod")


def test_the_images_of_container_tasks_are_not_told_the_parameters(cluster, team):
    """Those of pyflow itself read them; whatever else runs has what its command says."""

    @container(image="busybox:1.36", stdout=True)
    def echo(word):
        return ["echo", word]

    @pipeline(name="handle")
    def echoes(word: str):
        return double(word), echo(word)

    echoes.with_options(**{**team, "argo": {**team["argo"], "target": "4.0.7"}}).deploy()
    templates = cluster.kept["WorkflowTemplate", "handle"]["spec"]["templates"]
    told = {
        one["container"]["image"]: any(v["name"] == "PYFLOW_PARAMETERS" for v in one["container"]["env"])
        for one in templates
        if "container" in one
    }
    assert told == {"busybox:1.36": False, "team/science:3": True}


def test_a_deployment_shows_its_name(cluster, team):
    """And not all that it is made of."""
    assert repr(first.with_options(**team).deploy()) == "Deployment(name='handle', schedule=None)"

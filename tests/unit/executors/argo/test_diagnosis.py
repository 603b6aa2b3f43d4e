"""What the doctor finds wrong with a cluster, and what it says would mend it."""

from __future__ import annotations

import pytest
from fake_cluster import FakeCluster
from servers import BUCKET

from pyflow.api import probe
from pyflow.errors import AccessDeniedError, ExecutorError, UnreachableError
from pyflow.executors.argo import ArgoSettings
from pyflow.executors.argo import executor as argo_executor
from pyflow.executors.argo.diagnosis import findings

GOOD = ArgoSettings(key_secret="pyflow-key", service_account="pyflow")


def found(cluster, settings=GOOD):
    return {finding.name: finding for finding in findings(cluster, settings)}


def test_where_all_is_well_there_is_nothing_to_mend():
    """Everything is looked at, and all of it is said."""
    looked = found(FakeCluster())
    assert list(looked) == ["cluster", "rights", "pods"]
    assert all(finding.is_ok and not finding.fix for finding in looked.values())
    assert "v4.0.7, namespace team" in looked["cluster"].detail


@pytest.mark.parametrize("right", ["create workflows", "delete workflows", "get pods/log", "list events"])
def test_a_right_that_is_missing_is_named(right):
    """With the command that prints a service account which has it."""
    cluster = FakeCluster()
    cluster.denied = {right}
    rights = found(cluster)["rights"]
    assert (rights.is_ok, rights.detail) == (False, f"in team you may not {right}")
    assert "pyflow argo setup --submitter" in rights.fix


@pytest.mark.parametrize("verb", ["create", "get", "update", "delete"])
@pytest.mark.parametrize("kind", ["workflowtemplates", "cronworkflows"])
def test_who_may_not_deploy_may_still_run(verb, kind):
    """What deploying alone needs is told with its fix, and nothing is wrong."""
    cluster = FakeCluster()
    cluster.denied = {f"{verb} {kind}"}
    rights = found(cluster)["rights"]
    assert rights.is_ok
    assert rights.detail == f"in team you may not {verb} {kind}; runs need none of it, deploying does"
    assert "pyflow argo setup --submitter" in rights.fix


def test_what_the_server_does_not_tell_is_no_fault(monkeypatch):
    """The Argo Server tells of few rights."""
    cluster = FakeCluster()
    monkeypatch.setattr(cluster, "may", lambda right: True if right.verb == "list" else None)
    rights = found(cluster)["rights"]
    assert rights.is_ok
    assert "does not tell of" in rights.detail


@pytest.mark.parametrize(
    ("error", "fix"),
    [(UnreachableError("no answer"), "ARGO_SERVER"), (AccessDeniedError("no token"), "ARGO_TOKEN"), (ExecutorError("odd"), "docs/argo.md")],
)  # fmt: skip
def test_a_cluster_that_does_not_answer_ends_the_looking(error, fix):
    """Its words, what would mend it, and no guesses about the rest."""
    cluster = FakeCluster()
    cluster.fails = error
    looked = found(cluster)
    assert list(looked) == ["cluster"]
    assert (looked["cluster"].is_ok, looked["cluster"].detail) == (False, str(error))
    assert fix in looked["cluster"].fix


def test_results_without_a_key_are_told():
    """With the command that makes a Secret of it; a site that trusts its bucket needs none."""
    pods = found(FakeCluster(), ArgoSettings())["pods"]
    assert not pods.is_ok
    assert "pyflow argo setup | kubectl apply" in pods.fix
    assert found(FakeCluster(), ArgoSettings(trust_bucket=True))["pods"].is_ok


class Ending(FakeCluster):
    """Every workflow that it takes has ended already."""

    def create(self, manifest):
        made = super().create(manifest)
        self.set_status(made["metadata"]["name"], "Failed", message="no room for pods")
        return made


@pytest.mark.parametrize(
    ("cluster", "error", "detail", "fix"),
    [
        (FakeCluster(), AccessDeniedError("you may not"), "you may not", "a right"),
        (Ending(), None, "no room for pods", "pyflow logs uid-0-doctor-"),
    ],
)
def test_a_probe_that_fails_says_what_to_do(monkeypatch, moto, cluster, error, detail, fix):
    """Whether its run was not taken or has failed."""
    moto.enter(monkeypatch)
    monkeypatch.setattr(argo_executor, "open_cluster", lambda _settings: cluster)
    monkeypatch.setattr(argo_executor, "check_store", lambda _content, _url: None)
    monkeypatch.setattr(argo_executor, "check_key", lambda _settings, *, trusts_store: None)
    cluster.fails = error
    probed = probe("argo", f"s3://{BUCKET}/probed")
    assert not probed.is_ok
    assert detail in probed.detail
    assert fix in probed.fix

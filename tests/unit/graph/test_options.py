"""Options from the way users spell them."""

from __future__ import annotations

import json

import pytest

from pyflow import Secret, Volume
from pyflow.errors import DefinitionError
from pyflow.graph import Options, from_json_text


def test_sizes_become_mebibytes() -> None:
    """Memory, its growth and scratch space are whole mebibytes, rounded up."""
    options = Options.of({"memory": "1Gi", "memory_on_oom": "4Gi", "disk": "1500M"})
    assert (options.memory_mib, options.memory_on_oom_mib, options.disk_mib) == (1024, 4096, 1431)


def test_the_environment_takes_texts_and_secrets() -> None:
    """A variable is a text, or a secret that is looked up where the task runs."""
    options = Options.of({"env": {"B": "2", "A": Secret("db", key="password")}})
    assert options.env == (("A", Secret("db", "password")), ("B", "2"))


def test_what_kubernetes_spells_is_kept_as_json() -> None:
    """Tolerations and the patch of a pod are frozen texts that give the same values back."""
    tolerations = [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 5}]
    options = Options.of({"tolerations": tolerations, "pod_patch": {"hostNetwork": True}})
    assert [json.loads(text) for text in options.tolerations] == tolerations
    assert from_json_text(options.pod_patch) == {"hostNetwork": True}
    assert hash(options.tolerations) is not None


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("memory_on_oom", "1Gi", "needs memory"),
        ("disk", "lots", "disk must be like '4Gi'"),
        ("memory", 4, "less than a mebibyte"),
        ("packages", 3, "packages must be a list of requirements"),
        ("packages", [1], "packages must be a list of requirements"),
        ("packages", "", "packages must be a list of requirements"),
        ("image", "", "image must be a text"),
        ("python", 3.12, "python must be a version like '3.12', in quotes"),
        ("platform", "linux", "platform must be like 'linux/amd64'"),
        ("network", "\n", "network must be a text"),
        ("volumes", ["/mnt"], "volumes must be a dict like"),
        ("volumes", {"mnt": Volume.named("a")}, "must be an absolute folder"),
        ("volumes", {"/mnt/../etc": Volume.named("a")}, "must be an absolute folder"),
        ("volumes", {"/mnt": "a"}, r"volumes\['/mnt'\] must be a Volume"),
        ("node_selector", {"zone": 1}, "node_selector must be a dict of text to text"),
        ("tolerations", {"key": "gpu"}, "tolerations must be a list of dicts"),
        ("tolerations", [{"kee": "gpu"}], "A toleration is a dict with some of"),
        (
            "tolerations",
            [{"key": "x", "operator": "exists"}],
            "operator of a toleration is one of 'Exists', 'Equal', got 'exists'",
        ),
        ("tolerations", [{"key": "x", "effect": "No"}], "effect of a toleration is one of 'NoSchedule'"),
        ("labels", {"a b": "c"}, "labels has 'a b', which is no name of a label"),
        ("labels", {"a/b/c": "c"}, "labels has 'a/b/c', which is no name of a label"),
        ("labels", {"a": "c d"}, r"labels\['a'\] must have at most 63 letters.*got 'c d'"),
        ("labels", {"a": "x" * 64}, "must have at most 63 letters"),
        ("node_selector", {"a": "-"}, r"node_selector\['a'\] must have"),
        ("pod_patch", {"hostAlias": 1}, "'hostAlias', which is no field of a pod's spec. Did you mean 'hostAliases'"),
        ("pod_patch", {"spec": {}}, "write what is in 'spec' without that around it"),
        ("volumes", {"/tmp": Volume.claim("a")}, r"volumes\['/tmp'\] must be a Volume.scratch"),
        ("service_account", None, "service_account must be a text"),
        ("pod_patch", {"a": {1, 2}}, "pod_patch must be made of plain JSON values"),
        ("pod_patch", [], "pod_patch must be a dict"),
        ("run_as_root", "yes", "run_as_root must be True or False"),
        ("env", {"": Secret("db")}, "not the name of a variable"),
        ("env", {"A": 1}, "A number must be written as text"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_work(option: str, value: object, words: str) -> None:
    """Each option says what it takes when it is given something else."""
    with pytest.raises(DefinitionError, match=words):
        Options.of({option: value})


def test_what_kubernetes_takes_is_taken() -> None:
    """Labels with a domain and without a value, tolerations of all, directives of a patch."""
    Options.of(
        {
            "labels": {"example.org/team-1": "", "a": "B.c_d-e", "x" * 63: "y" * 63, "a" * 253 + "/x": "1"},
            "node_selector": {"kubernetes.io/arch": "arm64"},
            "tolerations": [{"operator": "Exists"}, {"key": "x", "value": "y", "effect": "NoExecute"}],
            "pod_patch": {"$setElementOrder/containers": [{"name": "main"}], "hostAliases": [], "$patch": "merge"},
            "volumes": {"/tmp": Volume.scratch("1Gi")},
        }
    )


def test_memory_grows_from_something_to_more() -> None:
    """Growth that ends below the start is refused."""
    with pytest.raises(DefinitionError, match="must be more than it; got 512 MiB beside memory of 1024 MiB"):
        Options.of({"memory": "1Gi", "memory_on_oom": "512Mi"})

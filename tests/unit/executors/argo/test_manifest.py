"""What stands in a manifest: ids only, few templates, within Argo's limits, and safe."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from typing import Any, Literal

import pytest
from unit.executors.argo.compiling import IN_IMAGE, RUNTIME, SETTINGS, manifest_of, size_of, templates_of

from pyflow import Secret, Volume, container, each, first_of, otherwise, pipeline, task, when
from pyflow.errors import ExecutorError, PyflowError
from pyflow.executors.argo import ArgoSettings
from pyflow.executors.argo.manifest import FAILURES
from pyflow.executors.argo.text import escaped, json_text
from pyflow.executors.argo.verified import verified
from pyflow.version import VERSION


@task
def give(x):
    return x


@task
def add(*xs):
    return sum(xs)


@pipeline
def wide(n):
    return add(*[give(i) for i in range(n)])


HOSTILE = "{{workflow.name}} $(HOME) {{=1+1}} 'quoted' \n --flag"


def test_a_fan_in_of_a_thousand_takes_little() -> None:
    """A manifest takes at most 120 bytes for a task at a fan-in of 1,000."""
    manifest = manifest_of(wide, 1000)
    assert size_of(manifest) / 1001 <= 120


@pytest.mark.parametrize("n", [1, 149, 150, 151, 1000, 5000])
def test_no_limit_of_argo_is_reached(n: int) -> None:
    """However many tasks there are, no DAG has more than 150 and no workflow more than 190 templates."""
    templates = templates_of(manifest_of(wide, n))
    tasks = [task for t in templates.values() if "dag" in t for task in t["dag"]["tasks"]]
    assert max(len(t["dag"]["tasks"]) for t in templates.values() if "dag" in t) <= 150
    assert len(templates) <= 190
    assert (
        sum("n" in {p["name"] for p in task.get("arguments", {"parameters": []})["parameters"]} for task in tasks)
        == n + 1
    )


def test_no_text_of_a_user_is_in_it() -> None:
    """Neither values nor names nor environment variables nor labels' owners reach a manifest unencoded."""

    @pipeline(name="plan")
    def secretive(text):
        return give.with_options(name="heimlich", env={"HEIMAT": HOSTILE})(text)

    text = json.dumps(manifest_of(secretive, "vertraulich", settings=IN_IMAGE))
    for word in ("vertraulich", "heimlich", "HEIMAT", "quoted", "team"):
        assert word not in text
    assert set(re.findall(r"\{\{[^}]*\}\}", text)) <= {
        "{{inputs.parameters.n}}", "{{inputs.parameters.i}}", "{{retries}}", "{{workflow.uid}}",
        "{{workflow.namespace}}/{{workflow.name}}", "{{workflow.namespace}}", "{{workflow.name}}", "{{workflow.status}}",
        FAILURES,
    }  # fmt: skip


def test_tasks_that_ask_for_the_same_share_a_template() -> None:
    """There is one template for each distinct pod, however many tasks there are, and whatever their names."""

    @pipeline
    def main():
        small = [give.with_options(name=f"t{i}", env={"I": str(i)})(i) for i in range(5)]
        return add.with_options(memory="1Gi")(*small)

    assert set(templates_of(manifest_of(main))) == {"main", "p0", "p1", "exit", "end"}


def test_options_become_fields() -> None:
    """Resources, placement, secrets, volumes, retries and patches are in the pod's template as Kubernetes spells them."""

    @pipeline
    def main():
        return give.with_options(
            cpus=1.5, memory="1Gi", memory_on_oom="4Gi", gpus=1, disk="2Gi", retries=3, backoff="2s", timeout="10m",
            env={"TOKEN": Secret("db", key="password")}, labels={"team": "a"}, node_selector={"pool": "big"},
            tolerations=[{"key": "gpu", "operator": "Exists"}], service_account="worker", platform="linux/arm64",
            volumes={"/mnt/a": Volume.named("shared-data"), "/mnt/b": Volume.claim("claim", read_only=False),
                     "/mnt/c": Volume.secret("s"), "/mnt/d": Volume.config("c"), "/mnt/e": Volume.host("/data"),
                     "/mnt/f": Volume.scratch("1Gi")},
            pod_patch={"containers": [{"name": "main", "stdin": True}], "hostname": HOSTILE},
        )(1)  # fmt: skip

    pod = templates_of(manifest_of(main))["p0"]
    container = pod["container"]
    assert container["resources"] == {
        "requests": {"cpu": "1500m", "memory": "1024Mi", "ephemeral-storage": "2048Mi"},
        "limits": {"memory": "1024Mi", "ephemeral-storage": "2048Mi", "nvidia.com/gpu": "1"},
    }
    assert {
        "name": "PYFLOW_SECRET_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}},
    } in container["env"]
    mounts = {m["mountPath"]: (m["name"], m.get("readOnly")) for m in container["volumeMounts"]}
    assert mounts["/mnt/a"] == ("shared-data", True)
    assert mounts["/mnt/b"] == ("v1", False)
    assert [next(k for k in v if k != "name") for v in pod["volumes"]] == [
        "persistentVolumeClaim", "secret", "configMap", "hostPath", "emptyDir",
    ]  # fmt: skip
    assert pod["nodeSelector"] == {"pool": "big", "kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}
    assert (pod["serviceAccountName"], pod["metadata"]) == ("worker", {"labels": {"team": "a"}})
    assert pod["retryStrategy"]["limit"] == "3"
    assert pod["retryStrategy"]["backoff"] == {"duration": "2s", "factor": "2"}
    assert pod["activeDeadlineSeconds"] == 1500
    told = "asInt(split(split(lastRetry.message, 'pyflow-memory=')[1], 'Mi')[0])*(lastRetry.exitCode == '137' ? 2 : 1)"
    grown = f"lastRetry.message contains 'pyflow-memory=' ? {told} : 1024*2**asInt(retries)"
    assert f"{{{{=string(int(min({grown}, 4096)))}}}}Mi" in pod["podSpecPatch"]
    patch = json.loads(pod["podSpecPatch"])
    assert patch["hostname"] == HOSTILE
    assert patch["containers"][0]["stdin"] is True
    assert "{{workflow" not in pod["podSpecPatch"]


def test_pods_may_do_little() -> None:
    """Pods are no root, have no token, no capabilities and a read-only root, and what is theirs to write is mounted."""
    manifest = manifest_of(wide, 1)
    spec, container = manifest["spec"], templates_of(manifest)["p0"]["container"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert spec["executor"] == {"serviceAccountName": "workflow"}
    without = manifest_of(wide, 1, settings=replace(SETTINGS, service_account=None))["spec"]
    assert not {"serviceAccountName", "executor", "automountServiceAccountToken"} & without.keys()
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
    assert {"name": "HOME", "value": "/tmp"} in container["env"]


def test_a_runtime_that_travels_is_pinned() -> None:
    """Where the runtime travels, Argo fetches it, and the stub checks the digest that stands in the manifest."""
    settings = ArgoSettings(s3_secret="s3", s3_endpoint="http://store:9000", trust_bucket=True)
    pod = templates_of(manifest_of(wide, 1, settings=settings))["p0"]
    (artifact,) = pod["inputs"]["artifacts"]
    assert artifact["archive"] == {"none": {}}
    assert artifact["s3"]["key"] == "team/v1/runtimes/abcd"
    assert (artifact["s3"]["endpoint"], artifact["s3"]["insecure"]) == ("store:9000", True)
    assert pod["container"]["args"][1] == "ab" * 32
    assert pod["container"]["image"].startswith("python:3.")


def test_pods_of_a_runtime_image_fetch_nothing() -> None:
    """A registry has it, so Argo fetches nothing for them, nor for a container task; a task's own image gets the archive."""

    @task(image="team/gdal:3.9")
    def translate(x: int) -> int:
        return x

    @pipeline
    def main():
        return translate(give(1)), shout("a", "1")

    settings = ArgoSettings(registry="registry.example/team/", trust_bucket=True)
    pods = [t for t in templates_of(manifest_of(main, settings=settings)).values() if "dag" not in t]
    ours = f"registry.example/team/pyflow-runtime:{VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"
    found = {
        (one["image"], *(a["path"] for a in pod.get("inputs", {}).get("artifacts", ())), *_runtime_of(one))
        for pod in pods
        for one in [pod["container"], *pod.get("initContainers", []), *pod.get("sidecars", [])]
    }
    assert found == {
        (ours, RUNTIME.in_image),
        ("team/gdal:3.9", "/pyflow-runtime", "/pyflow-runtime"),
        ("busybox:1.36",),
    }


def _runtime_of(made: dict[str, Any]) -> list[str]:
    """From where a container imports pyflow."""
    return [word for word in made["args"] if word.startswith("/pyflow-runtime")]


@pytest.mark.parametrize("kind", ["secret", "workload-identity", "node"])
def test_credentials_for_the_store_come_from_where_the_settings_say(
    kind: Literal["secret", "workload-identity", "node"],
) -> None:
    """From a Secret, for Argo and for pyflow alike; or from the account or the node, and then no Secret is named for either."""
    settings = ArgoSettings(s3_credentials=kind, s3_secret="s3", trust_bucket=True)
    pod = templates_of(manifest_of(wide, 1, settings=settings))["p0"]
    place = pod["inputs"]["artifacts"][0]["s3"]
    variables = {
        e["name"]: e["valueFrom"]["secretKeyRef"] for e in pod["container"]["env"] if e["name"].startswith("AWS_")
    }
    access, secret = {"name": "s3", "key": "accesskey"}, {"name": "s3", "key": "secretkey"}
    if kind == "secret":
        assert variables == {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
        assert (place["accessKeySecret"], place["secretKeySecret"], "useSDKCreds" in place) == (access, secret, False)
    else:
        assert not variables
        assert (place["useSDKCreds"], "accessKeySecret" in place, "secretKeySecret" in place) == (True, False, False)


def test_an_authority_of_the_sites_own_is_trusted_by_all_that_ask_the_store() -> None:
    """Argo's own container and pyflow's get the certificate of one key of a Secret; the author's container does not."""

    @pipeline
    def main():
        return shout("a", "1")

    settings = ArgoSettings(s3_ca_secret="ours", s3_ca_key="root.pem", trust_bucket=True)
    manifest = manifest_of(main, settings=settings)
    assert {
        "name": "pyflow-ca",
        "secret": {"secretName": "ours", "defaultMode": 0o440, "items": [{"key": "root.pem", "path": "ca.crt"}]},
    } in manifest["spec"]["volumes"]
    pod = next(t for t in templates_of(manifest).values() if "sidecars" in t)
    assert pod["inputs"]["artifacts"][0]["s3"]["caSecret"] == {"name": "ours", "key": "root.pem"}
    mount = {"name": "pyflow-ca", "mountPath": "/pyflow-ca", "readOnly": True}
    variable = {"name": "AWS_CA_BUNDLE", "value": "/pyflow-ca/ca.crt"}
    for own in (*pod["initContainers"], *pod["sidecars"]):
        assert (mount in own["volumeMounts"], variable in own["env"]) == (True, True)
    assert mount not in pod["container"]["volumeMounts"]
    assert variable not in pod["container"].get("env", [])


def test_a_branch_and_a_map_are_nested() -> None:
    """A side of a branch is a DAG with ``when`` on a small number; a map counts by one, too."""

    @pipeline
    def main(x):
        a = give(x)
        with when(a > 1):
            b = add(a)
        with otherwise():
            c = add.map(give([1]), each([2]))
        return first_of(b, c)

    templates = templates_of(manifest_of(main, 1))
    tasks = {t["name"]: t for t in templates["main"]["dag"]["tasks"]}
    assert {t["when"] for t in tasks.values() if "when" in t} == {
        "{{tasks.n0.outputs.parameters.o0}} == 1", "{{tasks.n0.outputs.parameters.o0}} == 0",
    }  # fmt: skip
    assert templates["p1"].get("outputs", templates["p0"].get("outputs")) == {
        "parameters": [{"name": "o0", "valueFrom": {"path": "/tmp/.pyflow-0", "default": "0"}}]
    }


def test_what_hera_would_drop_is_an_error() -> None:
    """A field that Hera's models do not know is named, instead of left out in silence."""
    manifest = manifest_of(wide, 1)
    manifest["spec"]["templates"][0]["pendingTimeout"] = "5m"
    manifest["spec"]["synchronisation"] = {}
    with pytest.raises(PyflowError, match=r"spec\.synchronisation.*|spec\.templates\[0\]\.pendingTimeout"):
        verified(manifest)


@pytest.mark.parametrize("text", ["{{x}}", "{{{x", "$(A)", "$$(A)", "{{=1}}", "{", "plain", "${A} {{{{"])
def test_escaped_text_comes_back_as_it_was(text: str) -> None:
    """What Kubernetes makes of an escaped text is the text, and Argo finds no tag in it."""
    found = escaped(text)
    assert "{{" not in found
    assert re.sub(r"\$\$|\$\(PYFLOW_BRACE\)", lambda m: "$" if m[0] == "$$" else "{", found) == text
    assert json.loads(json_text({"k": text})) == {"k": text}


@pytest.mark.parametrize(
    "options",
    [
        {"image": "{{x}}"},
        {"tolerations": [{"key": "{{x}}"}]}, {"service_account": "{{x}}"}, {"volumes": {"/{{x}}": Volume.scratch("1Gi")}},
        {"volumes": {"/mnt": Volume.host("/{{x}}")}},
    ],
    ids=str,
)  # fmt: skip
def test_a_text_that_cannot_be_escaped_is_refused(options: dict[str, Any]) -> None:
    """A name of a Kubernetes object that holds a tag of Argo's is refused, with the text."""

    @pipeline
    def main():
        return give.with_options(**options)(1)

    with pytest.raises(ExecutorError, match=r"'/?\{\{x\}\}' cannot go into a manifest"):
        manifest_of(main)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", {"{{x}}": "a"}), ("annotations", {"a": "{{x}}"}), ("node_selector", {"a": "{{x}}"}),
        ("tolerations", ({"key": "{{x}}"},)), ("image_pull_secrets", ("{{x}}",)), ("service_account", "{{x}}"),
        ("priority_class", "{{x}}"), ("entrypoint", "{{x}}"), ("key_secret", "{{x}}"), ("s3_secret", "{{x}}"),
        ("s3_ca_secret", "{{x}}"), ("s3_ca_key", "{{x}}"),
        ("s3_access_key", "{{x}}"), ("s3_region", "{{x}}"), ("image", "{{x}}"), ("instance_id", "{{x}}"),
    ],
)  # fmt: skip
def test_a_tag_in_a_setting_is_refused(name: str, value: object) -> None:
    """Argo would read it wherever it stands; the message names the setting."""
    with pytest.raises(ExecutorError, match=rf"The setting argo\.{name} '\{{\{{x\}}\}}' cannot go into a manifest"):
        manifest_of(wide, 1, settings=replace(SETTINGS, **{name: value}))


@pytest.mark.parametrize(
    ("run_as", "user"),
    [
        ("1000", {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000}),
        ("1234:100", {"runAsUser": 1234, "runAsGroup": 100, "fsGroup": 100}),
        ("1000680000:0", {"runAsUser": 1000680000, "runAsGroup": 0, "fsGroup": 0}),
        ("cluster", {}),
    ],
)
def test_pods_run_as_whom_the_settings_say(run_as: str, user: dict[str, int]) -> None:
    """Never as root, and as nobody in particular where the cluster chooses."""
    spec = manifest_of(wide, 1, settings=replace(SETTINGS, run_as=run_as))["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        **user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_settings_reach_the_workflow() -> None:
    """Parallelism, time-out, pull secrets, priority, labels and annotations of the settings are in the workflow, for its pods."""
    settings = ArgoSettings(
        trust_bucket=True, parallelism=7, run_timeout_s=60.5, image_pull_secrets=("pull",), priority_class="low",
        labels={"a": "b"}, annotations={"c": "d"}, keep_for_s=3600, namespace="team", tolerations=({"key": "x"},), node_selector={"n": "m"},
    )  # fmt: skip
    manifest = manifest_of(wide, 1, settings=settings)
    spec = manifest["spec"]
    assert (spec["parallelism"], spec["activeDeadlineSeconds"], spec["podPriorityClassName"]) == (7, 61, "low")
    assert (spec["imagePullSecrets"], spec["tolerations"]) == ([{"name": "pull"}], [{"key": "x"}])
    assert (spec["nodeSelector"], spec["ttlStrategy"]) == ({"n": "m"}, {"secondsAfterCompletion": 3600})
    assert (manifest["metadata"]["labels"]["a"], manifest["metadata"]["annotations"]["c"]) == ("b", "d")
    assert spec["podMetadata"] == {"labels": {"a": "b"}, "annotations": {"c": "d"}}
    assert manifest["metadata"]["namespace"] == "team"


def test_ten_thousand_items_share_pods() -> None:
    """A map of 10,000 items gets as many pods as fit, and the manifest says how large it will be."""

    @pipeline
    def main():
        return give.map(list(range(10_000)))

    manifest = manifest_of(main)
    assert templates_of(manifest)["main"]["dag"]["tasks"][0]["withSequence"] == {"count": "500"}
    assert manifest["metadata"]["annotations"]["pyflow/estimate"].startswith("at most 501 pods; ")


def test_what_cannot_fit_is_refused_with_advice() -> None:
    """A pipeline that would outgrow Argo's object is refused before it is submitted, and the message says what helps."""

    @pipeline
    def inner(x):
        with when(give(x) > 1):
            a = give(x)
        return first_of(a, default=0)

    @pipeline
    def main():
        return inner.map(list(range(20_000)))

    with pytest.raises(ExecutorError, match=r"does not fit into one workflow: at most 40001 pods.*batch"):
        manifest_of(main)


@container(image="busybox:1.36", outputs={"out": "/work/out.txt"})
def shout(text, number):
    return ["sh", "-c", f"echo {text} > /work/out.txt", number]


def test_a_known_command_is_escaped() -> None:
    """A command that is known before the run stands in the manifest, and nothing in it is read by Argo or Kubernetes."""

    @pipeline
    def main():
        return shout.with_options(env={"A": "$(B){{c}}"})(HOSTILE, 3)

    pod = templates_of(manifest_of(main))["c0"]
    container = pod["container"]
    assert container["command"] == ["sh"]
    assert container["args"][1] == escaped(f"echo {HOSTILE} > /work/out.txt")
    assert container["env"][0] == {"name": "PYFLOW_BRACE", "value": "{"}
    assert {"name": "A", "value": "$$(B)$(PYFLOW_BRACE){c}}"} in container["env"]
    assert "{{" not in json.dumps(container)
    assert [m["mountPath"] for m in container["volumeMounts"]] == ["/tmp", "/pyflow/inputs", "/work"]
    assert not any("AWS" in e["name"] or "PYFLOW_P" in e["name"] for e in container["env"])


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "HOME", "TMPDIR", "LB", "PYFLOW_UID"])
@pytest.mark.parametrize("value", ["mine", Secret("mine", key="id")])
def test_a_variable_may_have_a_name_that_pyflow_uses(name: str, value: str | Secret) -> None:
    """No container of a pod has two variables of one name, and pyflow's own keep theirs."""

    @pipeline
    def main():
        return shout.with_options(env={name: value})("a", 3), give.with_options(env={name: value})(1)

    templates = templates_of(manifest_of(main))
    theirs = next(v for v in templates["c0"]["container"]["env"] if v["name"] == name)
    assert theirs == {"name": name, "value": "mine"} or theirs["valueFrom"]["secretKeyRef"]["name"] == "mine"
    for template in (templates["c0"], templates["p0"]):
        for pod in [template["container"], *template.get("initContainers", ()), *template.get("sidecars", ())]:
            names = [variable["name"] for variable in pod["env"]]
            assert len(names) == len(set(names))
    own = next((v for v in templates["p0"]["container"]["env"] if v["name"] == name), {})
    assert own.get("valueFrom", {}).get("secretKeyRef", {}).get("name") != "mine"


BIG = Volume.scratch("50Gi")


def test_temporary_files_may_lie_in_a_volume_with_a_size() -> None:
    """A scratch volume at ``/tmp`` takes the place of pyflow's, in Python tasks and in containers alike."""

    @pipeline
    def main():
        return give.with_options(volumes={"/tmp": BIG})(1), shout.with_options(volumes={"/tmp": BIG})("a", 1)

    templates = templates_of(manifest_of(main))
    for name in ("p0", "c1"):
        pod = templates[name]
        assert {"name": "v0", "emptyDir": {"sizeLimit": "51200Mi"}} in pod["volumes"]
        (mount,) = [m for m in pod["container"]["volumeMounts"] if m["mountPath"] == "/tmp"]
        assert mount["name"] == "v0"
        assert "subPath" not in mount


def test_files_of_a_container_may_lie_in_a_scratch_volume() -> None:
    """Its outputs are looked for there: pyflow's containers have the volume, too, and nothing else is mounted at its place."""

    @pipeline
    def main():
        return shout.with_options(volumes={"/work": BIG, "/mnt/a": Volume.claim("a")})("a", 1)

    pod = templates_of(manifest_of(main))["c0"]
    mounts = pod["container"]["volumeMounts"]
    assert [(m["name"], m["mountPath"]) for m in mounts] == [
        ("pyflow-shared", "/tmp"), ("pyflow-shared", "/pyflow/inputs"), ("v1", "/work"), ("v0", "/mnt/a"),
    ]  # fmt: skip
    for own in (*pod["initContainers"], *pod["sidecars"]):
        assert {"name": "v1", "mountPath": "/pyflow-shared/v1"} in own["volumeMounts"]
        assert "v0" not in [m["name"] for m in own["volumeMounts"]]


def test_words_that_only_run_time_knows_come_from_a_file() -> None:
    """What of a command is not known before the run is read from a file that the container before wrote."""

    @pipeline
    def main():
        return shout("x", give(3))

    pod = templates_of(manifest_of(main))["c1"]
    assert len(pod["container"]["args"]) == 2
    assert {"name": "ARGO_CONTAINER_ARGS_FILE", "value": "/pyflow/inputs/.arguments"} in pod["container"]["env"]
    assert [pod["initContainers"][0]["name"], pod["sidecars"][0]["name"]] == ["stage", "collect"]


@pytest.mark.parametrize(("target", "is_fine"), [("3.7.9", False), ("3.7", True), ("4.0.0", False), ("v4.0.7", True)])
def test_such_words_need_an_argo_that_reads_them(target: str, is_fine: bool) -> None:
    """An Argo that would leave them out is refused by name, one that nobody knows is warned of; known words any can run."""

    @pipeline
    def main():
        return shout("x", give(3))

    @pipeline
    def known():
        return shout("x", 3)

    with pytest.warns(UserWarning, match="'shout' .*Nobody could be asked which Argo it will be"):
        manifest_of(main, settings=replace(SETTINGS, target=None))
    settings = replace(SETTINGS, target=target)
    assert manifest_of(known, settings=settings)
    if is_fine:
        assert manifest_of(main, settings=settings)
    else:
        with pytest.raises(ExecutorError, match=f"'shout' .*Argo {target} cannot.*3.7.10, 4.0.1 or newer"):
            manifest_of(main, settings=settings)


def test_a_file_in_a_system_folder_is_refused() -> None:
    """A container task whose file would make a pod hide a folder that its image needs is refused, with a way out."""

    @container(image="busybox:1.36", outputs={"out": "/etc/out.txt"})
    def wrong():
        return ["true"]

    @pipeline
    def main():
        return wrong()

    with pytest.raises(ExecutorError, match="directly in '/etc'"):
        manifest_of(main)

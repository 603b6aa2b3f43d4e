"""What a site has, and how it differs: volumes, accounts, rights, quotas, a namespace that nobody has prepared, no Argo Server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from argo_world import IMAGE, kubectl, needs_argo, prepared, project, pyflow, until
from tls_world import tls_front

from pyflow import errors, load_run
from pyflow.api import list_runs
from pyflow.runtime.reasons import why_it_waits

pytestmark = [*needs_argo, pytest.mark.timeout(400)]

PROVIDED = """
    import os
    from pathlib import Path
    from pyflow import Secret, Volume, container, pipeline, task

    NAME = {name!r}
    THERE = {{"/mnt/secret": Volume.secret(NAME), "/mnt/config": Volume.config(NAME)}}

    @task(
        volumes={{**THERE, "/mnt/claim": Volume.claim(NAME, read_only=False)}},
        env={{"TOKEN": Secret(NAME, key="password"), "AWS_ACCESS_KEY_ID": Secret(NAME, key="password"), "HOME": "/mnt/config"}},
        service_account=NAME,
        tolerations=[{{"key": "gpu", "operator": "Exists"}}],
        labels={{"team": "birds"}},
    )
    def uses():
        Path("/mnt/claim/note.txt").write_text("kept")
        same = Path("/mnt/secret/password").read_text() == os.environ["TOKEN"] == os.environ["AWS_ACCESS_KEY_ID"]
        try:
            Path("/mnt/config/level").write_text("x")
        except OSError:
            has_token = Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
            return same, Path.home().joinpath("level").read_text(), has_token, bytes(20_000)

    @container(image="busybox:1.36", volumes=THERE, env={{"TOKEN": Secret(NAME, key="password"), "TMPDIR": "/scratch"}}, stdout=True, run_as_root=True, writable_root=True,
               inputs={{"first": "/data/words.txt"}})
    def as_root(first):
        return ["sh", "-c", 'id -u; echo $TMPDIR; touch /made && test "$(cat /mnt/secret/password)" = "$TOKEN" && cat /mnt/config/level "$1"', "sh", first]

    @container(image="busybox:1.36", outputs={{"folder": "/work/tiles"}}, volumes={{"/mnt/claim": Volume.claim(NAME), "/work": Volume.scratch("64Mi")}})
    def tiles():
        return ["sh", "-c", "mkdir -p /work/tiles/empty /work/tiles/a; cat /mnt/claim/note.txt > /work/tiles/a/b.txt; chmod 750 /work/tiles/a/b.txt; chmod 705 /work/tiles/empty"]

    @task
    def listing(folder: Path):
        return sorted((str(path.relative_to(folder)), oct(path.stat().st_mode & 0o777)) for path in folder.rglob("*"))

    @task(volumes={{"/tmp": Volume.scratch("64Mi")}})
    def words() -> Path:
        Path("words.txt").write_text("-- words\\n")
        return Path("words.txt")

    @pipeline
    def everything():
        used = uses()
        return used, as_root(words()), listing(tiles.after(used)())
"""


@pytest.fixture
def provided(tmp_path: Path) -> Any:
    """A Secret, a ConfigMap, a claim on a folder of this machine, and a service account without any rights; their name."""
    name = f"site-{uuid.uuid4().hex[:8]}"
    folder = tmp_path / "claim"
    folder.mkdir()
    folder.chmod(0o777)  # for pods, which are somebody else
    capacity = {"storage": "1Mi"}
    volume = {
        "capacity": capacity,
        "accessModes": ["ReadWriteMany"],
        "storageClassName": name,
        "hostPath": {"path": str(folder)},
    }
    claim = {"accessModes": ["ReadWriteMany"], "storageClassName": name, "resources": {"requests": capacity}}
    objects = [
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **more}
        for kind, more in {
            "PersistentVolume": {"spec": volume},
            "PersistentVolumeClaim": {"spec": claim},
            "Secret": {"stringData": {"password": "correct horse"}},
            "ConfigMap": {"data": {"level": "debug\n"}},
            "ServiceAccount": {},
        }.items()
    ]
    text = yaml.safe_dump_all(objects)
    kubectl("apply", "-f", "-", input=text)
    yield name
    kubectl("delete", "--wait=false", "-f", "-", input=text)


def test_what_a_cluster_provides_is_there(tmp_path, monkeypatch, provided):
    """Claims, Secrets and ConfigMaps as volumes, a Secret as a variable, also one by which pyflow finds its own credentials, labels and annotations of the site, a task's own account, with its token, and tolerations, a container as root, a folder that a container made."""
    flows = project(tmp_path, monkeypatch, PROVIDED.format(name=provided))
    of_site = {"labels": {"site": "earth"}, "annotations": {"example.org/owner": "a b"}, "pod_gc": "Never"}
    run = flows.everything.with_options(argo={**prepared(), **of_site}).submit()
    assert run.wait(200) == "succeeded", run.failure()
    used, said, found = run.result()
    assert used == (True, "debug\n", True, bytes(20_000))
    assert said == "0\n/scratch\ndebug\n-- words\n"
    assert found == [("a", "0o755"), ("a/b.txt", "0o750"), ("empty", "0o705")]
    pods = json.loads(
        kubectl("get", "pods", "-l", f"workflows.argoproj.io/workflow={run.record.place['workflow']}", "-o", "json")
    )
    assert {pod["metadata"]["labels"].get("site") for pod in pods["items"]} == {"earth"}
    assert {pod["metadata"]["annotations"].get("example.org/owner") for pod in pods["items"]} == {"a b"}
    (pod,) = (pod for pod in pods["items"] if pod["metadata"]["labels"].get("team") == "birds")
    assert pod["spec"]["serviceAccountName"] == provided
    assert {"key": "gpu", "operator": "Exists"} in pod["spec"]["tolerations"]
    assert (tmp_path / "claim" / "note.txt").read_text() == "kept"


WAITS = """
    from pyflow import Secret, Volume, pipeline, task

    @task
    def late():
        return 1

    nowhere = late.with_options(name="nowhere", node_selector={"pool": "nobody"})
    hungry = late.with_options(name="hungry", memory="900Gi")
    unclaimed = late.with_options(name="unclaimed", volumes={"/mnt/x": Volume.claim("nobody")})
    secretless = late.with_options(name="secretless", env={"TOKEN": Secret("nobody", key="x")})
    stranger = late.with_options(name="stranger", service_account="nobody")

    @pipeline(fail_fast=False)
    def waiting():
        return nowhere(), hungry(), unclaimed(), secretless(), stranger()
"""


@contextmanager
def _commanded(*words: str) -> Iterator[subprocess.Popen[str]]:
    """``pyflow run``, while it goes on."""
    command = [sys.executable, "-m", "pyflow.cli", "run", "--progress", *words]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stderr=pipe, stdout=pipe, stdin=null, text=True) as going:
        try:
            yield going
        finally:
            going.kill()


def _read_until(going: subprocess.Popen[str], *texts: str) -> str:
    """What a process says on its standard error until it has said all of these."""
    said = ""
    while not all(text in said for text in texts):
        line = going.stderr.readline()
        assert line, said
        said += line
    return said


def test_why_each_pod_waits_is_said_with_what_would_help(tmp_path, monkeypatch):
    """No such node, no room, no claim, no Secret, no account: each in the cluster's words, and whose move it is."""
    project(tmp_path, monkeypatch, WAITS)
    told = {
        "nowhere": "check the option node_selector",
        "hungry": "ask for less with",
        "unclaimed": "Check that the claim",
        "secretless": "A Secret or ConfigMap",
        "stranger": "There is no such service account",
    }
    with _commanded("flows.py") as going:
        said = _read_until(going, *told.values())
        for name, text in told.items():
            assert any(f"{name} " in line and text in line for line in said.splitlines()), said
        (run,) = list_runs()
        run.cancel()
        going.communicate(timeout=60)
    assert going.returncode == 1


GPUS = """
    from pyflow import pipeline, task

    @task(gpus=1)
    def one():
        return "ran"

    @pipeline
    def enough():
        return one()

    @pipeline
    def too_many():
        return one.with_options(gpus=2)()
"""


@pytest.fixture
def gpu():
    """The node says that it has a GPU; pods cannot tell."""
    name = "nvidia.com~1gpu"

    def patch(**operation: str) -> None:
        words = ("patch", "node", "localhost", "--subresource=status", "--type=json", "-p")
        kubectl(*words, json.dumps([{"path": f"/status/capacity/{name}", **operation}]))

    def allocatable() -> str:
        return kubectl("get", "node", "localhost", "-o", r"jsonpath={.status.allocatable.nvidia\.com/gpu}")

    patch(op="add", value="1")
    until(lambda: allocatable() == "1")
    yield
    patch(op="remove")


def pods_of(run: Any) -> list[dict[str, Any]]:
    label = f"workflows.argoproj.io/workflow={run.record.place['workflow']}"
    return json.loads(kubectl("get", "pods", "-l", label, "-o", "json"))["items"]


@pytest.mark.usefixtures("gpu")
def test_gpus_and_what_a_site_settles_are_in_each_pod(tmp_path, monkeypatch):
    """A node that has a GPU runs the task that asks for one; who asks for more is told; secrets to pull with and the priority are the site's."""
    name = f"site-{uuid.uuid4().hex[:8]}"
    registry = {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": '{"auths": {}}'}}
    objects = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **registry},
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 7},
    ]
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects))
    settles = {"image_pull_secrets": [name], "priority_class": name, "pod_gc": "Never"}
    flows = project(tmp_path, monkeypatch, GPUS, **settles)
    run = flows.enough.submit()
    assert run.wait(100) == "succeeded", run.failure()
    (pod, *_) = pods_of(run)
    assert pod["spec"]["imagePullSecrets"] == [{"name": name}]
    assert (pod["spec"]["priorityClassName"], pod["spec"]["priority"]) == (name, 7)
    (main,) = (c for c in pod["spec"]["containers"] if c["name"] == "main")
    assert main["resources"]["limits"]["nvidia.com/gpu"] == "1"
    with _commanded("flows.py:too_many") as going:
        assert "with cpus=, memory= or gpus=" in _read_until(going, "Insufficient nvidia.com/gpu")
        list_runs()[0].cancel()
        going.communicate(timeout=60)
    kubectl("delete", "-f", "-", input=yaml.safe_dump_all(objects))


SMALL = """
    import time
    from pyflow import pipeline, task

    @task
    def numbers(n):
        return list(range(n))

    @task
    def double(x):
        print("doubling", x)
        return 2 * x

    @task
    def total(xs):
        if len(xs) == 3:
            raise ValueError("three are too many")
        return sum(xs)

    @task
    def nap(seconds):
        print("napping", flush=True)
        time.sleep(seconds)

    @pipeline
    def summed(n):
        return total(double.map(numbers(n)))

    @pipeline
    def naps(seconds):
        return nap(seconds)

    if __name__ == "__main__":
        print("value:", summed(2))
"""


@pytest.fixture
def administrator(monkeypatch):
    """Somebody with a kubeconfig, and no Argo Server."""
    for name in [name for name in os.environ if name.startswith("ARGO_") and name != "ARGO_NAMESPACE"]:
        monkeypatch.delenv(name)


def test_runs_go_by_the_kubernetes_api_alone(tmp_path, monkeypatch, administrator):
    """Values, errors, logs, lists, cancelling and templates, as by the Argo Server."""
    flows = project(tmp_path, monkeypatch, SMALL)
    run = flows.summed.submit(2)
    assert run.wait(200) == "succeeded"
    assert run.result() == 2
    assert run.logs("double[1]") == "doubling 1\n"
    with pytest.raises(ValueError, match="three are too many"):
        flows.summed(3)
    sleeper = flows.naps.submit(300)
    until(lambda: "napping" in sleeper.logs("nap"))
    load_run(sleeper.id).cancel()
    assert sleeper.wait(100) == "cancelled"
    deployment = flows.summed.deploy()
    started = deployment.run(n=2)
    assert started.wait(100) == "succeeded"
    assert started.result() == 2
    deployment.remove()
    assert {run.status for run in list_runs()} == {"succeeded", "failed", "cancelled"}


def test_a_pod_of_the_cluster_submits_with_its_own_account(tmp_path, monkeypatch):
    """As a notebook in JupyterHub does: no kubeconfig and no token, but its pod's service account, and the key from the Secret."""
    project(tmp_path, monkeypatch, SMALL)
    folders = {
        "work": tmp_path,
        "code": Path(errors.__file__).parents[1],
        "site-packages": Path(yaml.__file__).parents[1],
    }
    variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    variables |= {"PYTHONPATH": "/code:/site-packages", "HOME": "/tmp", "PYFLOW_KEY_FILE": "/key/key"}
    main = {
        "name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "workingDir": "/work", "command": ["python", "flows.py"],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in (*folders, "key")],
    }  # fmt: skip
    volumes: list[Any] = [{"name": name, "hostPath": {"path": str(folder)}} for name, folder in folders.items()]
    volumes.append({"name": "key", "secret": {"secretName": prepared()["key_secret"]}})
    name = f"notebook-{uuid.uuid4().hex[:8]}"
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"serviceAccountName": "submitter", "restartPolicy": "Never", "hostNetwork": True, "volumes": volumes, "containers": [main]},
    }  # fmt: skip
    kubectl("apply", "-f", "-", input=json.dumps(pod))

    def phase() -> str:
        found = kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}")
        return found if found in {"Succeeded", "Failed"} else ""

    ended, said = until(phase, 200), kubectl("logs", name)
    kubectl("delete", "pod", name, "--wait=false")
    assert ended == "Succeeded", said
    assert said == "value: 2\n"


@pytest.fixture
def elsewhere(administrator):
    """A namespace that nobody has prepared for pyflow; its name."""
    name = f"site-{uuid.uuid4().hex[:8]}"
    run = partial(subprocess.run, check=True, capture_output=True, text=True, timeout=60)
    run(["kubectl", "create", "namespace", name])
    yield name
    run(["kubectl", "delete", "namespace", name, "--wait=false"])


WHO = """
    import os
    from pathlib import Path
    from pyflow import Volume, container, pipeline, task

    @task(volumes={{"/mnt/shared": Volume.host({shared!r}, read_only=False)}})
    def python():
        Path("/mnt/shared/made").write_text("x")
        return os.getuid(), os.getgid()

    @container(image={image!r}, stdout=True)
    def program():
        return ["sh", "-c", "id -u; id -g"]

    @pipeline
    def who():
        return python(), program()
"""


def test_pods_run_as_whom_the_site_says(tmp_path, monkeypatch):
    """The files of a shared volume are made as a user of the site, by Python and any program alike."""
    shared = tmp_path / "shared"
    shared.mkdir()
    os.chown(shared, 1234, 100)
    flows = project(tmp_path, monkeypatch, WHO.format(shared=str(shared), image="busybox:1.36"), run_as="1234:100")
    assert flows.who() == ((1234, 100), "1234\n100\n")
    made = (shared / "made").stat()
    assert (made.st_uid, made.st_gid) == (1234, 100)


def test_pods_run_as_whom_the_cluster_assigns(tmp_path, monkeypatch, elsewhere):
    """As on OpenShift: no user stands in the manifest, and the cluster gives one of the namespace's own to each pod."""
    names = {"namespace": elsewhere, "key_secret": "pyflow-key", "s3_secret": "pyflow-s3"}
    source = WHO.format(shared=str(tmp_path), image="busybox:1.36")
    flows = project(tmp_path, monkeypatch, source, **names, run_as="cluster")
    made = pyflow("argo", "setup", "--namespace", elsewhere, "--s3-secret", "pyflow-s3").stdout
    kubectl("apply", "-n", elsewhere, "-f", "-", input=made)
    tmp_path.chmod(0o777)
    with assigning(elsewhere, user=54321, folder=tmp_path):
        assert flows.who() == ((54321, 0), "54321\n0\n")


@contextmanager
def assigning(namespace: str, *, user: int, folder: Path) -> Iterator[None]:
    """Have the cluster give this user to all pods of a namespace, and refuse those that ask for one."""

    class Assigns(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            asked = {"runAsUser", "runAsGroup", "fsGroup"} & set(request["object"]["spec"].get("securityContext", {}))
            patch = [
                {"op": "add", "path": f"/spec/securityContext/{name}", "value": user}
                for name in ("runAsUser", "fsGroup")
            ]
            answer = {"uid": request["uid"], "allowed": not asked, "status": {"message": f"asks for {sorted(asked)}"}}
            if not asked:
                answer |= {"patchType": "JSONPatch", "patch": b64encode(json.dumps(patch).encode()).decode()}
            body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Assigns)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with tls_front(server.server_port, folder) as front:
        hook = {
            "name": "assigns.pyflow.test",
            "clientConfig": {"url": front.url, "caBundle": b64encode(front.authority.read_bytes()).decode()},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
        wanted = {**kind, "metadata": {"name": namespace}, "webhooks": [hook]}
        try:
            kubectl("apply", "-f", "-", input=json.dumps(wanted))
            asking = {"containers": [{"name": "main", "image": "busybox:1.36"}], "securityContext": {"runAsUser": 1}}
            until(lambda: "asks for ['runAsUser']" in tried(asking, namespace).stderr)  # it holds a moment later
            yield
        finally:
            kubectl("delete", "mutatingwebhookconfiguration", namespace, "--ignore-not-found")
            server.shutdown()
            thread.join()
            server.server_close()


CONFINED = """
    from pyflow import container, pipeline, task

    @task
    def one():
        return 1

    @container(image="busybox:1.36", stdout=True)
    def two():
        return ["echo", "2"]

    @pipeline
    def both():
        return one(), two()
"""


def test_pods_meet_the_strictest_standard_of_kubernetes(tmp_path, monkeypatch, elsewhere):
    """It is called "restricted", and asks something of Argo's own containers that Argo must be told to say; without that, the error tells of it."""
    flows = project(tmp_path, monkeypatch, CONFINED, pod_gc="Never")
    run = flows.both.submit()
    assert run.wait(200) == "succeeded"
    kubectl("label", "namespace", elsewhere, "pod-security.kubernetes.io/enforce=restricted")
    pods = [pod["spec"] for pod in pods_of(run)]
    assert {"stage", "collect", "main"} <= {c["name"] for pod in pods for c in containers_of(pod)}
    for pod in pods:
        # The testbed gives pods its own network and a node; an account of the name is not what this is about.
        bare = {
            name: said
            for name, said in pod.items()
            if name not in {"hostNetwork", "nodeName", "serviceAccountName", "serviceAccount"}
        }
        refused = tried(bare, elsewhere)
        wait = why_it_waits(refused.stderr)
        assert wait is not None
        assert "executor.securityContext" in wait.fix, refused.stderr
        for argos in [c for c in containers_of(bare) if c["name"] in {"init", "wait"}]:
            argos["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert tried(bare, elsewhere).stderr == ""


def containers_of(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def tried(pod: dict[str, Any], namespace: str) -> subprocess.CompletedProcess[str]:
    """What the cluster says to a pod, which is not made."""
    wanted = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried"}, "spec": pod}
    words = ["kubectl", "create", "-n", namespace, "--dry-run=server", "-f", "-"]
    return subprocess.run(words, input=json.dumps(wanted), text=True, capture_output=True, check=False, timeout=60)


def test_without_an_account_pods_have_the_namespaces_own(tmp_path, monkeypatch, elsewhere):
    """A site that gives rights to it need not name one; the doctor says what that means."""
    names = {"namespace": elsewhere, "key_secret": "pyflow-key", "s3_secret": "pyflow-s3"}
    flows = project(tmp_path, monkeypatch, SMALL, **names, service_account=None)
    words = ("argo", "setup", "--namespace", elsewhere, "--s3-secret", "pyflow-s3", "--service-account", "default")
    kubectl("apply", "-n", elsewhere, "-f", "-", input=pyflow(*words).stdout)
    assert flows.summed(2) == 2
    assert "whose token tasks see" in pyflow("doctor", "--executor", "argo").stdout


def test_a_namespace_is_prepared_by_what_setup_prints(tmp_path, monkeypatch, elsewhere):
    """The doctor says what is missing; after the one command all is well, and a quota that is used up is told while a pod waits."""
    names = {"namespace": elsewhere, "key_secret": "pyflow-key", "s3_secret": "pyflow-s3"}
    project(tmp_path, monkeypatch, SMALL, **names)
    before = pyflow("doctor", "--executor", "argo")
    assert before.returncode == 1
    assert "pyflow argo setup" in before.stdout
    objects = pyflow("argo", "setup", "--namespace", elsewhere, "--s3-secret", "pyflow-s3", "--submitter", "someone")
    assert objects.returncode == 0, objects.stderr
    kubectl("apply", "-n", elsewhere, "-f", "-", input=objects.stdout)
    after = pyflow("doctor", "--executor", "argo")
    assert after.returncode == 0, after.stdout
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    kubectl("apply", "-n", elsewhere, "-f", "-", input=json.dumps(quota))
    with _commanded("flows.py:summed", "--n", "2") as going:
        _read_until(going, "quota is used up")
        kubectl("delete", "-n", elsewhere, "resourcequota", "none")
        assert going.communicate(timeout=200)[0] == "2\n"

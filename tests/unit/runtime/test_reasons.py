"""Why pods wait and what ended them, in Kubernetes' words, is understood and comes with what would help."""

from __future__ import annotations

import pytest

from pyflow.runtime.reasons import why_it_died, why_it_waits


@pytest.mark.parametrize(
    ("message", "kind", "is_hopeless", "told"),
    [
        ("Unschedulable: 0/3 nodes are available: 3 Insufficient cpu. preemption: none", "unschedulable", False, "cpus="),
        ("Unschedulable: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", "unschedulable", False, "gpus="),
        ("Unschedulable: 0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", "unschedulable", False, "node_selector"),
        ("Unschedulable: 0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}.", "unschedulable", False, "tolerations"),
        ("ImagePullBackOff: Back-off pulling image \"team/x:1\"", "image", True, "image_pull_secrets"),
        ("ErrImageNeverPull: Container image \"x\" is not present", "image", True, "image's name"),
        ("InvalidImageName", "image", True, "image's name"),
        ('pods "w-1" is forbidden: exceeded quota: small, requested: cpu=4', "quota", False, "parallelism="),
        ('pods "w-1" is forbidden: error looking up service account ns/x: serviceaccount "x" not found', "forbidden", True, "pyflow argo setup"),
        ("task 'w-1.n0' errored: serviceaccounts \"x\" not found", "forbidden", True, "pyflow argo setup"),
        ('pods "w-1" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (containers "init", "wait" must set …', "forbidden", True, "executor.securityContext"),
        ('pods "w-1" is forbidden: violates PodSecurity "restricted:latest": restricted volume types (volumes "v0" uses "hostPath"), runAsNonRoot != true', "forbidden", True, "run_as_root"),
        ('MountVolume.SetUp failed for volume "pyflow-ca" : references non-existent secret key: ca.crt', "config", True, "pyflow argo setup"),
        ("CreateContainerConfigError: container has runAsNonRoot and image will run as root", "config", True, "run_as"),
        ('CreateContainerConfigError: secret "s3" not found', "config", True, "pyflow argo setup"),
        ("Unschedulable: 0/1 nodes are available: persistentvolumeclaim \"data\" not found.", "volume", False, "claim"),
        ("Waiting for argo-ns/Mutex/m lock. Lock status: 0/1", "lock", False, "Another workflow"),
        ("Something: new", "other", False, "Something: new"),
    ],
)  # fmt: skip
def test_a_wait_is_understood(message, kind, is_hopeless, told):
    """Its kind, whether waiting may help, and what to do."""
    wait = why_it_waits(message)
    assert wait is not None
    assert (wait.kind, wait.is_hopeless) == (kind, is_hopeless)
    assert told in str(wait)


@pytest.mark.parametrize("message", ["", "PodInitializing", "ContainerCreating", "PodInitializing: "])
def test_a_pod_on_its_way_does_not_wait(message):
    """Nobody is told of what passes by itself."""
    assert why_it_waits(message) is None


@pytest.mark.parametrize(
    ("message", "exit_code", "kind", "told"),
    [
        ("OOMKilled (exit code 137)", 137, "memory", "limit of 64 MiB"),
        ("Error (exit code 137)", 137, "memory", "memory_on_oom="),
        ("main: Error (exit code 3): pyflow-memory=64Mi", 3, "other", "no result: main: Error (exit code 3)."),
        ("pod deleted", None, "deleted", "retries="),
        ("The node was low on resource: memory.", None, "evicted", "was evicted"),
        ("Pod was active on the node longer than the specified deadline", None, "timeout", "time limit"),
        ("workflow shutdown with strategy:  Stop", None, "stopped", "was stopped"),
        ("ImagePullBackOff: no such image", None, "image", "could not start"),
        ("init: Error (exit code 64): … x509: certificate signed by unknown authority", 64, "start", "--s3-ca-secret"),
        (
            'ImagePullBackOff: Back-off pulling image "r.example/a/pyflow-runtime:0.1.0-py3.11"',
            None,
            "image",
            "pyflow image push",
        ),
        ("ErrImagePull: tls: x509: certificate signed by unknown authority", None, "image", "Check the image's name"),
        (
            "main: Error (exit code 73): pyflow: this image has not the runtime of this run",
            73,
            "image",
            "pyflow image push",
        ),
        ("task 'w.n0' errored: Error applying PodSpecPatch", None, "start", "pod_patch"),
        (
            'task \'w.n0\' errored: Pod "w-1" is invalid: metadata.labels: Invalid value: "a b": a valid label …',
            None,
            "start",
            "could not start: task 'w.n0' errored: Pod",
        ),
        ("Error (exit code 3)", 3, "other", "exit code 3"),
    ],
)
def test_a_death_is_understood(message, exit_code, kind, told):
    """What ended a pod that told nothing, and what would help."""
    death = why_it_died(message, exit_code, memory_mib=64)
    assert death.kind == kind
    assert death.error == "pyflow.errors." + {"memory": "OutOfMemoryError", "timeout": "TaskTimeoutError"}.get(
        kind, "LostTaskError"
    )
    assert told in death.reason

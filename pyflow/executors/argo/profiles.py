"""Pods: one template for each distinct thing that a pod may be asked to be, whoever runs in it.

What is the node's own, which one and for which indices, are parameters. What a worker reads off the packed graph, as
environment variables and time-outs, is not here at all, so that no text of a user is either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from pyflow.errors import ExecutorError
from pyflow.executors.argo.mounts import SCRATCH, mounts_of, own_mounts
from pyflow.executors.argo.place import Place
from pyflow.executors.argo.text import all_plain, json_text, plain
from pyflow.jsontext import Json
from pyflow.packed import PackedOptions
from pyflow.runtime import sharing
from pyflow.secrecy import PLACED

Template = dict[str, Any]

HELPER: Final = PackedOptions(retries=sharing.HELPER_RETRIES, backoff_s=sharing.HELPER_BACKOFF_S)

# Codes after which another attempt would end in the same way (contract.ExitCode), and those of a command that cannot be
# started (argo-workflows, emissary.go; POSIX shells).
_FOR_GOOD: Final = ("71", "72", "73", "75", "64", "65", "126", "127")

# A pod may be killed from outside as a last resort only: the time-out proper is kept by the runtime, which can say so.
DEADLINE_MARGIN_S: Final = 900

_MIB: Final = "Mi"


@dataclass(frozen=True, slots=True)
class Wants:
    """The part of a node's options that makes a pod different from others, as one comparable text."""

    text: str

    @classmethod
    def of(cls, options: PackedOptions, tells: int) -> Wants:
        """What these options ask of a pod that tells so many numbers."""
        fields = {name: getattr(options, name) for name in _OF_PODS}
        return cls(json_text([tells, fields, [name for name in ("cpus",) if name in options.given]]))


_OF_PODS: Final = (
    "cpus", "memory_mib", "memory_on_oom_mib", "gpus", "disk_mib", "image", "platform", "retries", "backoff_s",
    "timeout_s", "secret_env", "labels", "volumes", "node_selector", "tolerations", "service_account", "pod_patch",
    "run_as_root", "writable_root",
)  # fmt: skip


def pod_template(name: str, options: PackedOptions, place: Place, *, tells: int, is_batch: bool = False) -> Template:
    """The template of pods that run Python tasks with these options.

    Args:
        name: Of the template.
        options: What the tasks ask for.
        place: The cluster and the store.
        tells: How many numbers a pod tells about its result.
        is_batch: A pod runs several items, so its time cannot be foretold.
    """
    retry = retry_strategy(options)
    theirs = mounts_of(options).mounts
    # A scratch volume of the task's own, which has a size, may lie where pyflow's would.
    scratch = [] if any(mount["mountPath"] == SCRATCH.path for mount in theirs) else [SCRATCH.mount]
    attempt = "{{retries}}" if retry else "0"
    container = {
        **place.python_container(options.image, ["{{inputs.parameters.n}}", "{{inputs.parameters.i}}", attempt]),
        "env": [*place.environment(), *secret_variables(options, PLACED)],
        "resources": resources(options),
        "volumeMounts": [*scratch, *own_mounts(place.settings), *theirs],
        "securityContext": container_security(options),
    }
    template: Template = {
        "name": name,
        "inputs": inputs_of(["n", "i"], place, options.image),
        "container": {key: value for key, value in container.items() if value},
        **around(options, place),
    }
    if tells:
        template["outputs"] = {
            "parameters": [
                {"name": f"o{k}", "valueFrom": {"path": f"{SCRATCH.path}/.pyflow-{k}", "default": "0"}}
                for k in range(tells)
            ]
        }
    if retry:
        template["retryStrategy"] = retry
    if options.timeout_s is not None and not is_batch:
        template["activeDeadlineSeconds"] = math.ceil(options.timeout_s) + DEADLINE_MARGIN_S
    patch = pod_patch(options)
    if patch:
        template["podSpecPatch"] = patch
    return template


def inputs_of(names: list[str], place: Place, image: str | None = None) -> Template:
    """The parameters and artifacts that a pod gets.

    Args:
        names: Of the parameters.
        place: The cluster and the store.
        image: Of pyflow's containers in it, as a task names one.
    """
    artifacts = place.artifacts(image)
    # Outside of maps there are no indices, and a thousand tasks that need not say so are 26 kB less.
    parameters: Template = {
        "parameters": [{"name": name, "value": sharing.NO_INDICES} if name == "i" else {"name": name} for name in names]
    }
    return {**parameters, "artifacts": artifacts} if artifacts else parameters


def around(options: PackedOptions, place: Place) -> Template:
    """What options say of the pod around the containers."""
    settings = place.settings
    wanted: Template = {}
    if options.labels:
        wanted["metadata"] = {"labels": all_plain(options.labels, what="label")}
    selector = dict(options.node_selector)
    if options.platform is not None:
        selector.setdefault("kubernetes.io/os", options.platform.split("/")[0])
        selector.setdefault("kubernetes.io/arch", options.platform.split("/")[1])
    if selector:
        wanted["nodeSelector"] = {**settings.node_selector, **all_plain(selector, what="node selector")}
    if options.tolerations:
        wanted["tolerations"] = [*map(dict, settings.tolerations), *all_plain(options.tolerations, what="toleration")]
    if options.service_account is not None:
        wanted["serviceAccountName"] = plain(options.service_account, what="service account")
        wanted["automountServiceAccountToken"] = True
    if options.run_as_root:
        wanted["securityContext"] = {"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}}
    volumes = mounts_of(options).volumes
    if volumes:
        wanted["volumes"] = volumes
    return wanted


def resources(options: PackedOptions) -> Template:
    """Requests and limits: memory and disk are both, processors are a request only."""
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    if "cpus" in options.given:
        requests["cpu"] = f"{round(options.cpus * 1000)}m"
    if options.memory_mib is not None:
        requests["memory"] = limits["memory"] = f"{options.memory_mib}{_MIB}"
    if options.disk_mib is not None:
        requests["ephemeral-storage"] = limits["ephemeral-storage"] = f"{options.disk_mib}{_MIB}"
    if options.gpus:
        # An extended resource is a limit; the request follows (Kubernetes, "Schedule GPUs").
        limits["nvidia.com/gpu"] = str(options.gpus)
    return {name: value for name, value in (("requests", requests), ("limits", limits)) if value}


def container_security(options: PackedOptions) -> Template:
    """What a container may not: as little as the options allow."""
    security: Template = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": not options.writable_root}
    if not options.run_as_root:
        security["capabilities"] = {"drop": ["ALL"]}
    return security


def retry_strategy(options: PackedOptions, *, is_container: bool = False) -> Template | None:
    """When a pod is tried again: after every kind of failure that another attempt may mend."""
    grows = options.memory_on_oom_mib is not None
    if not options.retries and not grows:
        return None
    for_good = ", ".join(f"'{code}'" for code in _FOR_GOOD)
    expression = f"!(lastRetry.exitCode in [{for_good}])"
    if is_container:
        # The codes are those of the author's own program, which may use any. Only staging speaks pyflow's.
        expression = "true"
    growths = sharing.growths_of(options)
    if growths:
        expression = f"lastRetry.exitCode == '{sharing.KILLED}'"
    strategy: Template = {
        "limit": str(max(options.retries, growths, 1)),
        "retryPolicy": "Always",
        "expression": expression,
    }
    if options.backoff_s:
        strategy["backoff"] = {"duration": f"{options.backoff_s:g}s", "factor": "2"}
    return strategy


def pod_patch(options: PackedOptions, extra: Template | None = None) -> str:
    """The patch of a pod's specification: the author's, and what Argo has no field for."""
    patch = _merged(extra or {}, options.pod_patch or {})
    if not options.memory_on_oom_mib:
        return json_text(patch) if patch else ""
    if options.memory_mib is None:
        raise ExecutorError("Option 'memory_on_oom' says how far 'memory' may grow, which is not given.")
    marker = "memory-that-grows"
    both = {"requests": {"memory": marker}, "limits": {"memory": marker}}
    grown = _merged({"containers": [{"name": "main", "resources": both}]}, patch)
    least, most = options.memory_mib, options.memory_on_oom_mib
    return json_text(grown).replace(marker, f"{{{{=string(int(min({_next_memory(least)}, {most})))}}}}{_MIB}")


def _next_memory(least_mib: int) -> str:
    """What an attempt gets, as Argo reckons it: twice what the one before had, if that died for lack of it, and otherwise as much.

    A pod says what it has in its termination message. One that was deleted leaves none, and a container task never does: after these
    it is as if all attempts before had died for lack of memory.
    """
    told = f"split(split(lastRetry.message, '{sharing.MEMORY}')[1], '{_MIB}')[0]"
    grown = f"asInt({told})*(lastRetry.exitCode == '{sharing.KILLED}' ? 2 : 1)"
    return f"lastRetry.message contains '{sharing.MEMORY}' ? {grown} : {least_mib}*2**asInt(retries)"


def _merged(base: Json, over: Json) -> Json:
    """As a strategic merge would: dicts by key, lists of named things by name, all else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{k: _merged(base[k], v) if k in base else v for k, v in over.items()}}
    if isinstance(base, list) and isinstance(over, list):
        named = {item["name"]: item for item in base if isinstance(item, dict) and "name" in item}
        if len(named) == len(base) and all(isinstance(item, dict) and "name" in item for item in over):
            for item in over:
                named[item["name"]] = _merged(named.get(item["name"], {}), item)
            return list(named.values())
    return over


def secret_variables(options: PackedOptions, prefix: str = "") -> list[Template]:
    """Variables whose values Kubernetes takes from Secrets; in containers of pyflow's own they have a prefix."""
    return [
        {
            "name": plain(prefix + variable, what="variable"),
            "valueFrom": {"secretKeyRef": {"name": name, "key": key if key is not None else variable}},
        }
        for variable, (name, key) in options.secret_env.items()
    ]

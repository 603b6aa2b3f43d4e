"""Why a pod waits, and what ended one that told nothing itself: the cluster's words → ours, with what would help."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pyflow.runtime import sharing
from pyflow.runtime.attempts import LOST, OUT_OF_MEMORY, TIMED_OUT, out_of_memory_reason


class Wait(NamedTuple):
    """Why a pod does not run yet."""

    kind: str
    """``image``, ``unschedulable``, ``quota``, ``forbidden``, ``refused``, ``config``, ``volume``, ``lock``, ``slow`` or ``other``."""
    reason: str
    fix: str = ""
    is_hopeless: bool = False
    """Waiting alone will not help: after a while the run is ended."""

    def __str__(self) -> str:
        return f"{self.reason}. {self.fix}" if self.fix else f"{self.reason}."


class Death(NamedTuple):
    """What ended a pod that left no outcome."""

    kind: str
    """``memory``, ``deleted``, ``evicted``, ``timeout``, ``stopped``, ``image``, ``start`` or ``other``."""
    reason: str

    @property
    def error(self) -> str:
        """The type of the error for whoever waits for the result, as an error record names it."""
        return {"memory": OUT_OF_MEMORY, "timeout": TIMED_OUT}.get(self.kind, LOST)


_TRANSIENT: Final = ("PodInitializing", "ContainerCreating", "")

_WAITS: Final[tuple[tuple[str, str, str, bool], ...]] = (
    # what the message says, kind, what would help, is it hopeless
    (r"(ImagePull|ErrImage).*\bpyflow-runtime:", "image",
     ("'pyflow image build' and 'pyflow image push' put pyflow's runtime image into the registry that argo={'registry': ...} names; if that "
      "asks for a password: argo={'image_pull_secrets': [...]}"), True),
    (r"ImagePull|ErrImage|InvalidImageName|pull(ing)? (access|image)", "image",
     "Check the image's name, that the registry has it, and argo={'image_pull_secrets': [...]} if it asks for a password", True),
    (r"Insufficient (?P<what>[\w./-]+)", "unschedulable",
     "No node has so much free: ask for less with cpus=, memory= or gpus=, or wait until there is room", False),
    (r"didn't match Pod's node affinity|node\(s\) didn't match node selector", "unschedulable",
     "No node has these labels: check the option node_selector", False),
    (r"untolerated taint|had taint", "unschedulable", "The nodes keep other pods away: see the option tolerations", False),
    (r"violates PodSecurity.*\"(init|wait)\"", "forbidden",
     "Argo's own containers say too little for this namespace: whoever runs Argo sets executor.securityContext in its configuration", True),
    (r"violates PodSecurity", "forbidden", "The namespace does not allow what the task asks for: see run_as_root, volumes and pod_patch", True),
    (r"has runAsNonRoot and image", "config", "The image would run as root, and nobody says as whom instead: argo={'run_as': '1000'}", True),
    (r"secret .*(not found|not registered)|configmap .*(not found|not registered)|couldn't find key|non-existent (secret|config) key|CreateContainerConfigError", "config",
     "A Secret or ConfigMap that the pod names is not there: 'pyflow argo setup' prints those that pyflow needs", True),
    (r"persistentvolumeclaim|unbound immediate PersistentVolumeClaims|volume", "volume",
     "Check that the claim that the option volumes names is there, and that it may be mounted on this node", False),
    (r"Unschedulable|nodes are available", "unschedulable", "Ask for less, or for other nodes", False),
    (r"exceeded quota|forbidden: exceeded", "quota",
     "The namespace's quota is used up: wait, set parallelism=, or ask for less with cpus= and memory=", False),
    (r"service ?accounts? .*not found", "forbidden",
     "There is no such service account: argo={'service_account': ...}; 'pyflow argo setup' prints one", True),
    (r"Error applying PodSpecPatch", "refused", "The option pod_patch does not fit what Kubernetes calls a PodSpec: check the types of its values", True),
    (r"Pod .* is invalid: ", "refused", "Kubernetes takes no such pod: check the options that the message names, such as labels, tolerations, volumes and pod_patch", True),
    (r"is forbidden|cannot create resource", "forbidden", "A right or a policy is missing: show this to who runs the cluster", True),
    (r"CreateContainerError|RunContainerError", "config", "The container could not be made: check its command and volumes", True),
    (r"lock|[Mm]utex|[Ss]emaphore", "lock", "Another workflow holds what this one waits for", False),
)  # fmt: skip

NOT_IN_IMAGE: Final = "this image has not the runtime of this run"
"""The last word of a pod in a runtime image of another pyflow, which cannot tell more."""

_OTHER_RUNTIME: Final = (
    "the image that argo={'registry': ...} leads to is no runtime image of this pyflow. Where this pyflow is installed, "
    "'pyflow image build' and 'pyflow image push' put one there; where a node keeps an older image of that name, "
    "argo={'image_pull_policy': 'Always'} fetches it anew"
)

_AUTHORITY: Final = (
    "If an authority of your own vouches for it, name the Secret with its certificate, argo={'s3_ca_secret': ...}: "
    "'pyflow argo setup --s3-ca-secret NAME' prints one."
)


def why_it_waits(message: str) -> Wait | None:
    """What keeps a pod from running; None when it is on its way."""
    text = " ".join(message.split())[:400]
    if text.rstrip(":. ") in _TRANSIENT:
        return None
    for pattern, kind, fix, is_hopeless in _WAITS:
        if re.search(pattern, text):
            return Wait(kind, text.rstrip("."), fix, is_hopeless)
    return Wait("other", text.rstrip("."))


LONG_ON_ITS_WAY: Final = Wait(
    "slow",
    "its pod has been getting ready for more than a minute, and nobody says why",
    "A node that pulls a large image takes so long, and so does a store that does not answer Argo's own container: "
    "'kubectl describe pod' and 'kubectl logs -c init' tell",
)
"""Of a pod that does not get ready, and of which Kubernetes tells nothing."""


def exit_code_in(message: str) -> int | None:
    """The exit code that the cluster names where it says why a pod failed; None where it names none.

    Of a pod whose author's container never began, this is the only place where the code stands.
    """
    found = re.search(r"\(exit code (\d+)\)", message)
    return int(found[1]) if found else None


def is_out_of_memory(message: str, exit_code: int | None) -> bool:
    """Whether a pod was ended because there was no more memory."""
    return "OOMKilled" in message or (exit_code == sharing.KILLED and "deleted" not in message)


def why_it_died(
    message: str, exit_code: int | None, *, memory_mib: int | None = None, most_memory_bytes: int = 0
) -> Death:
    """What ended a pod that left no outcome.

    Args:
        message: What the cluster says of the pod, which has failed.
        exit_code: Of the author's container; None: it has none.
        memory_mib: What its task may use; None: unlimited.
        most_memory_bytes: The most that it was seen to use; 0: nobody knows.
    """
    said = re.sub(rf"{sharing.MEMORY}\d+Mi ?", "", " ".join(message.split()))[:400].rstrip(": .")
    if is_out_of_memory(message, exit_code):
        limit = memory_mib * 2**20 if memory_mib is not None else None
        return Death("memory", out_of_memory_reason(limit_bytes=limit, sample_bytes=most_memory_bytes, said=said))
    if re.search(r"[Ee]victed|low on resource", said):
        return Death("evicted", f"its pod was evicted: {said}. With retries= another node tries again.")
    if "deadline" in said:
        return Death("timeout", f"its pod was ended by a time limit: {said}.")
    if re.search(r"pod deleted|pod was deleted|[Nn]ode.*(lost|shutdown|not ready)", said):
        return Death("deleted", f"its pod was removed while it ran ({said}). With retries= another pod tries again.")
    if "workflow shutdown" in said:
        return Death("stopped", f"the workflow was stopped before it had ended ({said}).")
    wait = why_it_waits(said)
    if wait is not None and wait.kind in {"image", "config", "forbidden", "refused"}:
        return Death("image" if wait.kind == "image" else "start", f"its pod could not start: {wait}")
    if NOT_IN_IMAGE in said or "signed by unknown authority" in said:
        return _not_begun(said)
    code = "" if exit_code is None else f" with exit code {exit_code}"
    return Death("other", f"its pod ended{code} and left no result{': ' + said if said else ''}.")


def _not_begun(said: str) -> Death:
    """What kept a pod from beginning with pyflow's part."""
    if NOT_IN_IMAGE in said:
        return Death("image", f"{_OTHER_RUNTIME}.")
    return Death("start", f"its pod does not trust the store: {said}. {_AUTHORITY}")

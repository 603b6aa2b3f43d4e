"""The values of options that a pod gets as they are, checked by what Kubernetes takes: it would refuse them much later, or leave them out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pyflow.errors import DefinitionError
from pyflow.graph.option_values import json_text, suggestion, text_pairs

# "Labels and Selectors: Syntax and character set".
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_LABEL_NAME: Final = re.compile(
    r"(?=.{1,253}/|[^/]*$)([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
_TOLERATION_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "operator": ("Exists", "Equal"),
    "effect": ("NoSchedule", "PreferNoSchedule", "NoExecute"),
}
_TOLERATION_KEYS: Final = frozenset({"key", "operator", "value", "effect", "tolerationSeconds"})
# PodSpec of Kubernetes 1.35. Argo's controller knows no newer ones and leaves out what it does not know, without a word.
_POD_FIELDS: Final = frozenset(
    {
        "activeDeadlineSeconds", "affinity", "automountServiceAccountToken", "containers", "dnsConfig", "dnsPolicy",
        "enableServiceLinks", "ephemeralContainers", "hostAliases", "hostIPC", "hostNetwork", "hostPID", "hostUsers", "hostname",
        "hostnameOverride", "imagePullSecrets", "initContainers", "nodeName", "nodeSelector", "os", "overhead", "preemptionPolicy",
        "priority", "priorityClassName", "readinessGates", "resourceClaims", "resources", "restartPolicy", "runtimeClassName",
        "schedulerName", "schedulingGates", "securityContext", "serviceAccount", "serviceAccountName", "setHostnameAsFQDN",
        "shareProcessNamespace", "subdomain", "terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints", "volumes",
        "workloadRef",
    }
)  # fmt: skip


def label_pairs(value: object, *, option: str) -> tuple[tuple[str, str], ...]:
    """Labels and their values, sorted by name, from a dict of text to text."""
    pairs = text_pairs(value, option=option)
    for name, text in pairs:
        if not _LABEL_NAME.fullmatch(name):
            raise DefinitionError(
                f"{option} has {name!r}, which is no name of a label: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both "
                "ends; before it there may be a domain, as in 'example.org/team'."
            )
        if not _LABEL_VALUE.fullmatch(text):
            raise DefinitionError(
                f"{option}[{name!r}] must have at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, got {text!r}."
            )
    return pairs


def tolerations(value: object) -> tuple[str, ...]:
    """Tolerations of a pod as Kubernetes spells them, each as JSON text."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise DefinitionError(
            f"tolerations must be a list of dicts like {{'key': 'gpu', 'operator': 'Exists'}}, got {value!r}."
        )
    for toleration in value:
        if not isinstance(toleration, Mapping) or not toleration or not _TOLERATION_KEYS.issuperset(toleration):
            known = ", ".join(sorted(_TOLERATION_KEYS))
            raise DefinitionError(f"A toleration is a dict with some of {known}, got {toleration!r}.")
        for key, known_values in _TOLERATION_VALUES.items():
            if toleration.get(key, known_values[0]) not in known_values:
                raise DefinitionError(
                    f"The {key} of a toleration is one of {', '.join(map(repr, known_values))}, got {toleration[key]!r}."
                )
    return tuple(json_text(dict(toleration), option="tolerations") for toleration in value)


def pod_patch(value: object) -> str:
    """A patch of a pod's specification as JSON text."""
    text = json_text(value, option="pod_patch")
    for name in json.loads(text):
        if name == "spec":
            raise DefinitionError(
                "pod_patch is a patch of a pod's spec: write what is in 'spec' without that around it."
            )
        if name not in _POD_FIELDS and not name.startswith("$"):
            raise DefinitionError(
                f"pod_patch has {name!r}, which is no field of a pod's spec.{suggestion(name, sorted(_POD_FIELDS))}"
            )
    return text

"""Pods of container tasks: pyflow's runtime before and beside an image that knows nothing of it.

The command is the one text of a user that is in a manifest, and it is escaped. Words that only run time knows do not get there: the
container before writes them to a file, which Argo's emissary reads.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Final

from pyflow.errors import ExecutorError
from pyflow.executors.argo.mounts import mounts_of, own_mounts, volume_name
from pyflow.executors.argo.place import Place
from pyflow.executors.argo.profiles import (
    DEADLINE_MARGIN_S,
    around,
    container_security,
    inputs_of,
    pod_patch,
    resources,
    retry_strategy,
    secret_variables,
)
from pyflow.executors.argo.text import BRACE, escaped, plain
from pyflow.executors.argo.versions import reads_arguments_from_file, version_of
from pyflow.packed import PackedContainer, PackedOptions
from pyflow.runtime import pod_container as inside
from pyflow.secrecy import PLACED

Template = dict[str, Any]

_SHARED_VOLUME: Final = "pyflow-shared"
# A folder of an image in which a volume would hide what the image needs to run, or pyflow's own, which has the same mounts.
_SYSTEM: Final = frozenset(
    {
        "/",
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/lib",
        "/lib64",
        "/proc",
        "/sbin",
        "/sys",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/usr/local",
        "/usr/local/bin",
        "/usr/local/lib",
        "/var",
        "/var/run",
        "/run",
    }
)
_DEAF: Final = ("sh", "-c", "trap '' TERM; exec \"$@\"", "pyflow")
# How long pyflow may take to keep outputs when the author's container has ended.
_GRACE_S: Final = 3600


def container_template(name: str, node: PackedContainer, options: PackedOptions, place: Place) -> Template:
    """The template of one container task.

    Args:
        name: Of the template.
        node: The task.
        options: What it asks for.
        place: The cluster and the store.

    Raises:
        ExecutorError: Its program, or where its files lie, cannot be had in a pod.
    """
    retry = retry_strategy(options, is_container=True)
    layout = inside.layout_of(node, options)
    words = ["{{inputs.parameters.i}}", "{{retries}}" if retry else "0"]
    template: Template = {
        "name": name,
        "inputs": inputs_of(["i"], place),
        "initContainers": [_own("stage", [f"s{node.id}", *words], place, layout)],
        "container": _main(node, options, place, layout),
        "sidecars": [_own("collect", [f"c{node.id}", *words], place, layout, hidden=secret_variables(options, PLACED))],
        **around(options, place),
    }
    template["volumes"] = [{"name": _SHARED_VOLUME, "emptyDir": {}}, *template.get("volumes", ())]
    if retry:
        template["retryStrategy"] = retry
    if options.timeout_s is not None:
        template["activeDeadlineSeconds"] = math.ceil(options.timeout_s) + DEADLINE_MARGIN_S
    # The emissary then keeps what is printed in files as well. Argo sets the variable last, so it is patched.
    keeps = {"name": "main", "env": [{"name": "ARGO_INCLUDE_SCRIPT_OUTPUT", "value": "true"}]}
    template["podSpecPatch"] = pod_patch(options, {"containers": [keeps], "terminationGracePeriodSeconds": _GRACE_S})
    return template


def _main(node: PackedContainer, options: PackedOptions, place: Place, layout: inside.Layout) -> Template:
    known = inside.first_unknown(node)
    words = [word for word in inside.known_words(node)[:known] if word is not None]
    if not words:
        raise ExecutorError(
            f"The program that container task {node.name!r} runs is known at run time only (called at {node.at}), and Argo "
            "must know it before. Begin the command with a fixed word, as in ['sh', '-c', ...] or ['env', value]."
        )
    command, *arguments = [escaped(word) for word in words]
    texts = {"HOME": inside.TMP, "TMPDIR": inside.TMP, **options.env}
    environment = [
        BRACE,
        *(
            {"name": _variable(name), "value": escaped(t)}
            for name, t in texts.items()
            if name not in options.secret_env
        ),
        *secret_variables(options),
    ]
    if known < len(node.command):
        _check_target(node, place)
        environment.append({"name": inside.ARGUMENTS_VARIABLE, "value": inside.ARGUMENTS})
    container: Template = {
        "image": plain(node.image, what="image"),
        "imagePullPolicy": place.settings.image_pull_policy,
        "command": [command],
        "args": arguments,
        "env": environment,
        "resources": resources(options),
        "volumeMounts": [*_folders(node, layout), *mounts_of(options, but=layout.scratch).mounts],
        "securityContext": container_security(options),
    }
    return {key: value for key, value in container.items() if value}


def _check_target(node: PackedContainer, place: Place) -> None:
    """Refuse words that only run time knows where Argo would not read them; warn where nobody knows which Argo it will be."""
    target = place.settings.target
    version = None if target is None else version_of(target)
    held = f"The command of container task {node.name!r} (called at {node.at}) holds a value that another task makes"
    needed = "that needs 3.7.10, 4.0.1 or newer"
    if version is None:
        file, _, line = node.at.rpartition(":")
        message = (
            f"{held}, and {needed} of Argo, which would leave it out otherwise. Nobody could be asked which Argo it will be: "
            "argo={'target': '4.0.7'} says so."
        )
        warnings.warn_explicit(message, UserWarning, file, int(line))
    elif not reads_arguments_from_file(version):
        raise ExecutorError(
            f"{held}, and Argo {target} cannot read such words: {needed}. Hand the value over as a file (inputs=), or let a Python task do it."
        )


def _variable(name: str) -> str:
    return plain(name, what="variable")


def _folders(node: PackedContainer, layout: inside.Layout) -> list[Template]:
    """Where shared folders lie in the author's container."""
    mounts: list[Template] = []
    for part, folder in layout.parts:
        if folder in _SYSTEM:
            raise ExecutorError(
                f"Container task {node.name!r} (called at {node.at}) has a file directly in {folder!r}, and a pod would hide the rest of "
                "that folder from it. Let the file lie in a folder of its own, such as /tmp or /work."
            )
        where = {"mountPath": plain(folder, what="folder")}
        if folder in layout.scratch:
            mounts.append({"name": volume_name(layout.scratch[folder]), **where})
        else:
            mounts.append({"name": _SHARED_VOLUME, **where, "subPath": part})
    return mounts


def _own(
    name: str, arguments: list[str], place: Place, layout: inside.Layout, *, hidden: Sequence[Template] = ()
) -> Template:
    """One of pyflow's containers.

    Args:
        name: Of it.
        arguments: What it is to do.
        place: The cluster and the store.
        layout: What it shares with the author's.
        hidden: The author's secrets, which it needs to hide them in what is printed.
    """
    mounts: list[Template] = [{"name": _SHARED_VOLUME, "mountPath": inside.SHARED}, *own_mounts(place.settings)]
    mounts += [
        {"name": volume_name(layout.scratch[folder]), "mountPath": f"{inside.SHARED}/{part}"}
        for part, folder in layout.parts
        if folder in layout.scratch
    ]
    own_folders = {"HOME": inside.SHARED, "TMPDIR": inside.SHARED}
    environment = [
        {"name": e["name"], "value": own_folders[e["name"]]} if e["name"] in own_folders else e
        for e in place.environment()
    ]
    environment += hidden
    container = place.python_container(None, arguments)
    # Argo asks a sidecar to end as soon as the author's container has, which may be before Python is there to listen.
    program = [*_DEAF, *container.pop("command"), *container.pop("args")]
    return {
        "name": name,
        **container,
        "command": program[:1],
        "args": program[1:],
        "workingDir": inside.SHARED,
        "env": environment,
        "volumeMounts": mounts,
        # Argo mounts its input artifact, the runtime, in the author's container only; so it gets here.
        **({"mirrorVolumeMounts": True} if place.artifacts(None) else {}),
        "securityContext": container_security(PackedOptions()),
    }

"""Volumes of tasks as mounts of containers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pyflow.errors import ExecutorError
from pyflow.jsontext import Json
from pyflow.late import late
from pyflow.packed import PackedCall, PackedContainer, PackedGraph

if TYPE_CHECKING:
    from docker import errors, types
else:
    errors = late("docker.errors")
    types = late("docker.types")

_ON_A_CLUSTER: Final = {
    "claim": "a volume claim of a cluster",
    "secret": "a secret of a cluster",
    "config": "a config map of a cluster",
}


TMP: Final = "/tmp"  # noqa: S108  the container's
"""A private folder of this machine in every container."""


def bind(source: str, target: str, *, read_only: bool) -> Any:
    """A folder or file of this machine in a container; it must be there."""
    return types.Mount(target, source, type="bind", read_only=read_only)


def check_volumes(graph: PackedGraph, folders: Mapping[str, str], engine: Any) -> None:
    """Refuse volumes that this machine has no folder for, all of them at once.

    Raises:
        ExecutorError: There is one; the message says how to name a folder.
    """
    wrong: dict[str, None] = {}
    for node in graph.walk():
        if isinstance(node, (PackedCall, PackedContainer)):
            for volume in graph.options[node.options].volumes:
                why = _objection(volume, folders, engine)
                if why:
                    wrong[f"{why} (task {node.name!r}, at {volume[0]})"] = None
    if wrong:
        raise ExecutorError("; ".join(wrong) + ".")


def _objection(volume: list[Json], folders: Mapping[str, str], engine: Any) -> str:
    _, kind, name, _ = volume
    if kind == "scratch":
        return ""
    if kind == "host":
        return "" if os.path.exists(name) else f"Volume.host({name!r}): there is no such folder on this machine"
    if name in folders:
        return (
            ""
            if os.path.isdir(folders[name])
            else f"Volume {name!r} is to be {folders[name]}, and there is no such folder"
        )
    advice = f'say which folder of this machine stands for it by  {name} = "/path"  in [tool.pyflow.volumes]'
    if kind == "named":
        return (
            ""
            if _has_volume(engine, name)
            else f"Docker has no volume {name!r}: make one by  docker volume create {name} , or {advice}"
        )
    return f"Volume.{kind}({name!r}) is {_ON_A_CLUSTER[kind]}: {advice}"


def _has_volume(engine: Any, name: str) -> bool:
    try:
        engine.api.inspect_volume(name)
    except errors.NotFound:
        return False
    return True


def volume_mounts(volumes: list[list[Json]], folders: Mapping[str, str], scratch: str) -> list[Any]:
    """The mounts of a container for the volumes of its task.

    Args:
        volumes: Each ``[folder, kind, name, is_read_only]``.
        folders: Which folder of this machine stands for a volume.
        scratch: A private folder, in which empty ones are made.
    """
    mounts = []
    for number, (target, kind, name, is_read_only) in enumerate(volumes):
        if kind == "scratch" and target == TMP:
            continue  # it is an empty folder of the container's own in any case
        if kind == "scratch":
            source = os.path.join(scratch, f"scratch-{number}")
            os.mkdir(source)
            os.chmod(source, 0o777)  # noqa: S103  the folder around it is private
            mounts.append(bind(source, target, read_only=False))
        elif kind == "host":
            mounts.append(bind(name, target, read_only=is_read_only))
        elif name in folders:
            mounts.append(bind(folders[name], target, read_only=is_read_only))
        else:
            mounts.append(types.Mount(target, name, type="volume", read_only=is_read_only))
    return mounts

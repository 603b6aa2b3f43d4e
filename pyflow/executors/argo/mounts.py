"""Volumes of pods."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any, Final

from pyflow.executors.argo.settings import ArgoSettings
from pyflow.executors.argo.text import plain
from pyflow.packed import PackedOptions

Template = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scratch:
    """The one folder that every container may write to: temporary files, the home folder, results on their way."""

    name: str = "tmp"
    path: str = "/tmp"  # noqa: S108  of a pod, which shares it with nobody

    @property
    def mount(self) -> Template:
        """Where it lies in a container."""
        return {"name": self.name, "mountPath": self.path}

    @property
    def volume(self) -> Template:
        """What it is made of."""
        return {"name": self.name, "emptyDir": {}}


SCRATCH: Final = Scratch()
KEY_FOLDER: Final = "/pyflow-key"
_KEY_VOLUME: Final = "pyflow-key"
_AUTHORITIES_FOLDER: Final = "/pyflow-ca"
_AUTHORITIES: Final = "ca.crt"
AUTHORITIES_FILE: Final = f"{_AUTHORITIES_FOLDER}/{_AUTHORITIES}"
_AUTHORITIES_VOLUME: Final = "pyflow-ca"


@dataclass(slots=True)
class Mounts:
    """Volumes, and where they lie in the container."""

    volumes: list[Template] = field(default_factory=list)
    mounts: list[Template] = field(default_factory=list)


def volume_name(number: int) -> str:
    """What a volume is called in a pod, by its number among those of the task."""
    return f"v{number}"


def mounts_of(options: PackedOptions, *, but: Container[str] = ()) -> Mounts:
    """The volumes that the options ask for.

    One that the cluster's workflow defaults provide is mounted by its name, and not declared.

    Args:
        options: Of a task.
        but: Folders that are mounted elsewhere.
    """
    found = Mounts()
    for number, (folder, kind, name, is_read_only) in enumerate(options.volumes):
        where = {"mountPath": plain(folder, what="folder of a volume"), "readOnly": is_read_only}
        source = _source(kind, plain(name, what="volume"), is_read_only=is_read_only)
        if source is None:
            found.mounts.append({"name": name, **where})
            continue
        found.volumes.append({"name": volume_name(number), **source})
        if folder not in but:
            found.mounts.append({"name": volume_name(number), **where})
    return found


def _source(kind: str, name: str, *, is_read_only: bool) -> Template | None:
    if kind == "claim":
        return {"persistentVolumeClaim": {"claimName": name, "readOnly": is_read_only}}
    if kind == "secret":
        return {"secret": {"secretName": name}}
    if kind == "config":
        return {"configMap": {"name": name}}
    if kind == "host":
        return {"hostPath": {"path": name}}
    if kind == "scratch":
        return {"emptyDir": {"sizeLimit": name}}
    return None


def shared_volumes(settings: ArgoSettings) -> list[Template]:
    """The volumes that all pods of a workflow have."""
    volumes = [SCRATCH.volume]
    if settings.key_secret is not None:
        volumes.append(_secret(_KEY_VOLUME, settings.key_secret))
    if settings.s3_ca_secret is not None:
        # Under a name of its own choice, and nothing else of that Secret.
        items = [{"key": settings.s3_ca_key, "path": _AUTHORITIES}]
        volumes.append(_secret(_AUTHORITIES_VOLUME, settings.s3_ca_secret, items=items))
    return volumes


def own_mounts(settings: ArgoSettings) -> list[Template]:
    """What pyflow's own containers find of these: the key that results are signed with, and whom to trust with the store."""
    folders = {_KEY_VOLUME: KEY_FOLDER, _AUTHORITIES_VOLUME: _AUTHORITIES_FOLDER}
    names = [volume["name"] for volume in shared_volumes(settings)]
    return [{"name": name, "mountPath": folders[name], "readOnly": True} for name in names if name in folders]


def _secret(volume: str, name: str, **more: Any) -> Template:
    return {"name": volume, "secret": {"secretName": name, "defaultMode": 0o440, **more}}

"""Volumes of pods."""

from __future__ import annotations

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
KEY_VOLUME: Final = "pyflow-key"


@dataclass(slots=True)
class Mounts:
    """Volumes, and where they lie in the container."""

    volumes: list[Template] = field(default_factory=list)
    mounts: list[Template] = field(default_factory=list)


def mounts_of(options: PackedOptions) -> Mounts:
    """The volumes that the options ask for.

    One that the cluster's workflow defaults provide is mounted by its name, and not declared.
    """
    found = Mounts()
    for number, (folder, kind, name, is_read_only) in enumerate(options.volumes):
        where = {"mountPath": plain(folder, what="folder of a volume"), "readOnly": is_read_only}
        source = _source(kind, plain(name, what="volume"), is_read_only=is_read_only)
        if source is None:
            found.mounts.append({"name": name, **where})
            continue
        found.volumes.append({"name": f"v{number}", **source})
        found.mounts.append({"name": f"v{number}", **where})
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
        volumes.append({"name": KEY_VOLUME, "secret": {"secretName": settings.key_secret, "defaultMode": 0o440}})
    return volumes


def key_mount(settings: ArgoSettings) -> list[Template]:
    """Where pyflow's own containers find the key that results are signed with."""
    if settings.key_secret is None:
        return []
    return [{"name": KEY_VOLUME, "mountPath": KEY_FOLDER, "readOnly": True}]

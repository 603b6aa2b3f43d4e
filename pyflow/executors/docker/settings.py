"""What a site says about containers: the tables ``docker`` and ``volumes`` of the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyflow.config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerSettings:
    """How containers are made where a task says nothing else."""

    registry: str = ""
    """A prefix for the name of the runtime image, from where it is pulled if it is there."""
    base: str | None = None
    """The image that the runtime image is built on."""
    network: str | None = None
    """The network of all containers; None: as Docker gives it."""
    volumes: Mapping[str, str] = field(default_factory=dict)
    """Which folder of this machine stands for a volume, by the volume's name."""

    @classmethod
    def of(cls, settings: Settings) -> DockerSettings:
        """From the tables of the settings, which are checked already."""
        table = {name: value for name, value in (settings.docker or {}).items() if value is not None}
        volumes = {
            name: os.path.abspath(os.path.expanduser(path)) for name, path in (settings.volumes or {}).items() if path
        }
        return cls(**table, volumes=volumes)

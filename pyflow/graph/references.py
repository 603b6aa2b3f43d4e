"""Things that a task uses where it runs, and that never travel: secrets and volumes, by name.

Tracing keeps them; which executor can provide them is said in ``pyflow.executors.support``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from pyflow.errors import DefinitionError
from pyflow.graph.quantities import mebibytes

_KEY: Final = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,253}")
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is looked up where the task runs, and is never written down.

    Args:
        name: What the secret is called there.
        key: Which of its values, where it has several.
    """

    name: str
    key: str | None = None

    def __post_init__(self) -> None:
        _check_name(self.name, "secret")
        if self.key is not None and not _KEY.fullmatch(self.key):
            raise DefinitionError(
                f"The key of a secret is made of letters, digits, '.', '_' and '-'; got {self.key!r}."
            )


@dataclass(frozen=True, slots=True)
class Volume:
    """A folder of the place where the task runs. Make one by ``Volume.named(...)`` and its siblings.

    Attributes:
        kind: Where the folder comes from.
        name: A name there, or a path for ``host``; for ``scratch`` the size, in mebibytes.
        read_only: Whether the task may only read it.
    """

    kind: Literal["named", "claim", "secret", "config", "host", "scratch"]
    name: str
    read_only: bool = True

    @classmethod
    def named(cls, name: str, *, read_only: bool = True) -> Volume:
        """One that the place provides under this name."""
        return cls("named", _check_name(name, "volume"), read_only)

    @classmethod
    def claim(cls, name: str, *, read_only: bool = True) -> Volume:
        """A persistent volume claim of the cluster."""
        return cls("claim", _check_name(name, "claim"), read_only)

    @classmethod
    def secret(cls, name: str) -> Volume:
        """A secret of the cluster, one file for each of its keys."""
        return cls("secret", _check_name(name, "secret"))

    @classmethod
    def config(cls, name: str) -> Volume:
        """A config map of the cluster, one file for each of its keys."""
        return cls("config", _check_name(name, "config map"))

    @classmethod
    def host(cls, path: str, *, read_only: bool = True) -> Volume:
        """A folder of the machine that the task runs on."""
        if not path.startswith("/") or ".." in path.split("/"):
            raise DefinitionError(f"Volume.host() wants an absolute path without '..', got {path!r}.")
        return cls("host", path, read_only)

    @classmethod
    def scratch(cls, size: str | int) -> Volume:
        """An empty folder that is gone when the task has ended, of at most this size where the place keeps to it."""
        return cls("scratch", f"{mebibytes(size, option='The size of a scratch volume')}Mi", read_only=False)


def _check_name(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"The name of a {what} is made of letters, digits, '.', '_' and '-', and starts and ends with a letter or "
            f"digit; got {name!r}."
        )
    return name

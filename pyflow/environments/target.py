"""For which Python and which machine packages are chosen."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from pyflow.errors import DefinitionError
from pyflow.late import late

if TYPE_CHECKING:
    import platform
else:
    platform = late("platform")

PYTHON_MINOR: Final = f"{sys.version_info.major}.{sys.version_info.minor}"

# The C library of Red Hat 8 and Debian 11, and older than that of every image of Python that is still looked after. Wheels for it
# run on all newer ones, so a laptop and an image get the same files, down to the digest.
_LINUX: Final = "manylinux_2_28"

_UV_PLATFORMS: Final = {
    "linux/amd64": f"x86_64-{_LINUX}",
    "linux/arm64": f"aarch64-{_LINUX}",
    "linux/arm64/v8": f"aarch64-{_LINUX}",
    "linux/amd64/musl": "x86_64-unknown-linux-musl",
    "linux/arm64/musl": "aarch64-unknown-linux-musl",
    "darwin/amd64": "x86_64-apple-darwin",
    "darwin/arm64": "aarch64-apple-darwin",
}
"""Platforms as containers name them, and as uv does."""

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class Target(NamedTuple):
    """The minor of Python and the platform that packages must fit."""

    python: str
    platform: str

    def __str__(self) -> str:
        return f"Python {self.python} on {self.platform}"

    @property
    def uv_platform(self) -> str:
        """What uv calls the platform.

        Raises:
            DefinitionError: It has no name for it.
        """
        found = _UV_PLATFORMS.get(self.platform)
        if found is None:
            raise DefinitionError(
                f"Packages cannot be chosen for platform {self.platform!r}. There are: {', '.join(_UV_PLATFORMS)}."
            )
        return found


def this_target() -> Target:
    """The one of this process."""
    machine = platform.machine().lower()
    name = f"{sys.platform}/{_ARCHITECTURES.get(machine, machine)}"
    return Target(PYTHON_MINOR, f"{name}/musl" if sys.platform == "linux" and not _has_glibc() else name)


def container_target(python: str | None, image_platform: str | None) -> Target:
    """The one of a container: Linux, and where nothing else is said this process's Python and this machine's processor."""
    if image_platform is None:
        machine = platform.machine().lower()
        image_platform = f"linux/{_ARCHITECTURES.get(machine, machine)}"
    return Target(python or PYTHON_MINOR, image_platform)


def _has_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (ValueError, OSError):
        return False

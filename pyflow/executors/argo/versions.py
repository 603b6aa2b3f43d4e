"""Which Argo understands what. Manifests keep to what 3.7 and 4 both know; what a patch release brought is asked for here."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Version: TypeAlias = tuple[int, int, int]

OLDEST: Final[Version] = (3, 7, 0)
"""The oldest that is supported."""

_NEWEST_PATCH: Final = 10**6
_TEXT: Final = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,6}))?(?:[-+].*)?")


def version_of(text: str) -> Version | None:
    """A version from its text; one without a patch is the newest of its minor. None for a text that is none."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    return int(found[1]), int(found[2]), _NEWEST_PATCH if found[3] is None else int(found[3])


def reads_arguments_from_file(version: Version) -> bool:
    """Whether the command of a container may come from a file (argo-workflows, emissary.go; in no 4.0.0)."""
    return version >= (4, 0, 1) or (3, 7, 10) <= version < (4, 0, 0)

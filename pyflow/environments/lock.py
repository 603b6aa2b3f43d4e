r"""A lock: which distributions make an environment, each with the hashes of its files, as text that pip and uv read too.

    # pyflow lock 1, Python 3.11 on linux/amd64
    numpy==2.1.0 \
        --hash=sha256:… \
        --hash=sha256:…

It holds no address of an index, so no credentials either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pyflow.environments.target import Target
from pyflow.errors import DefinitionError

LOCK_VERSION: Final = 1
_FIRST_LINE: Final = re.compile(r"# pyflow lock (\d+), Python (\d+\.\d+) on (\S+)")
_REQUIREMENT: Final = re.compile(
    r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*(?:==\s*([^\s;\\]+)|@\s*(\S+))", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Lock:
    """Distributions at one version each, for one target."""

    target: Target
    requirements: str
    """Lines of a requirements file with hashes."""

    @property
    def text(self) -> str:
        """The lock as a file."""
        return f"# pyflow lock {LOCK_VERSION}, {self.target}\n{self.requirements}"

    def versions(self) -> list[tuple[str, str]]:
        """Name and version of each distribution, or the address of one that comes from a file, sorted by name."""
        return sorted((name, version or address) for name, version, address in _REQUIREMENT.findall(self.requirements))


def is_lock(text: str) -> bool:
    """Whether a file is a lock that pyflow wrote."""
    return text.startswith("# pyflow lock ")


def parse_lock(text: str, *, what: str) -> Lock:
    """The lock in a file.

    Args:
        what: The file, for the message.

    Raises:
        DefinitionError: Another version wrote it, or its first line is damaged.
    """
    first, _, rest = text.partition("\n")
    found = _FIRST_LINE.fullmatch(first.strip())
    if found is None or int(found[1]) != LOCK_VERSION:
        raise DefinitionError(
            f"The lock {what} begins with {first[:80]!r}, and this pyflow reads '# pyflow lock {LOCK_VERSION}, Python 3.x on …'. "
            "Make it anew with pyflow env lock."
        )
    return Lock(Target(found[2], found[3]), rest)

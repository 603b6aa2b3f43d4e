"""Which installed distribution, at which version, a module belongs to, without importing anything heavy."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from pathlib import Path

from pyflow.bundle.origins import find


def installed_version(top: str) -> str:
    """``numpy==2.1.0`` for the first name of an installed module; a name alone when its version is unknown.

    The standard library's own reader of metadata takes 100 ms for a large environment. Here the names
    of the metadata folders say most, and only where import and distribution differ are they read.
    """
    found = find(top)
    if found is None:
        return top
    if found.folders:
        return _version_in(Path(found.folders[0]).parent, top)
    return _version_in(Path(found.file).parent, top) if found.file is not None else top


@lru_cache(maxsize=1024)
def _version_in(site: Path, top: str) -> str:
    version_by_name = {name.lower().replace("-", "_"): (name, version) for name, version in _distributions(site)}
    name, version = version_by_name.get(top.lower()) or _recorded(site, top) or (top, _own_version(top))
    return f"{name}=={version}" if version else name


@lru_cache(maxsize=64)
def _distributions(site: Path) -> tuple[tuple[str, str], ...]:
    """Name and version of each distribution whose metadata lies in this folder."""
    if not site.is_dir():
        return ()
    pattern = re.compile(r"([^-]+)-([^-]+?)(?:-[^/]*)?\.(?:dist-info|egg-info)$")
    return tuple(match.groups() for path in sorted(site.iterdir()) if (match := pattern.match(path.name)))  # type: ignore[misc]


def _recorded(site: Path, top: str) -> tuple[str, str] | None:
    """The distribution that says it installed files of this name (``sklearn`` is of scikit-learn)."""
    starts = re.compile(rf"^{re.escape(top)}(?:/|\.[^/]*,)", re.MULTILINE)
    for name, version in _distributions(site):
        record = site / f"{name}-{version}.dist-info" / "RECORD"
        if record.is_file() and starts.search(record.read_text(encoding="utf-8", errors="replace")):
            return name, version
    return None


def _own_version(top: str) -> str | None:
    # Some modules raise, warn or import when asked for an attribute they lack; their dict does not.
    version = getattr(sys.modules.get(top), "__dict__", {}).get("__version__")
    return version if isinstance(version, str) else None

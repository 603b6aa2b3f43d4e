"""The folder of this host where environments are unpacked, one for each digest, and what was asked for before.

<cache>/pyflow/environments/<digest>/tree/…        an unpacked environment
<cache>/pyflow/environments/<digest>/complete      its last file to be written
<cache>/pyflow/environments/requests/<key>.json    which archive a request led to, on the machine that resolves
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pyflow.late import late

if TYPE_CHECKING:
    import tempfile
else:
    tempfile = late("tempfile")


def environments_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where this user's environments are kept: below ``XDG_CACHE_HOME``, else ``~/.cache``, else a private temporary folder.

    The folder exists and can be written to when this returns, unless it is read-only, as in a container that gets it from its host.
    """
    given = environ.get("XDG_CACHE_HOME", "")
    home = environ.get("HOME", "")
    bases = [Path(given)] if given.startswith("/") else [Path(home) / ".cache"] if home.startswith("/") else []
    for base in bases:
        folder = base / "pyflow" / "environments"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        return folder
    folder = _temporary() / "environments"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def runtime_folder() -> Path:
    """Where pyflow's own runtime is kept for places that get it from this machine: beside the environments."""
    return environments_folder().with_name("runtime")


def _temporary() -> Path:
    """A folder in the place for temporary files that belongs to this user alone: others may not put code into it."""
    folder = Path(tempfile.gettempdir()) / f"pyflow-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077:
        return folder
    return Path(tempfile.mkdtemp(prefix="pyflow-"))

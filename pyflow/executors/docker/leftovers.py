"""Containers that a caller left behind because it was killed: found by label, and removed by the next run."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any, Final

from pyflow.late import late
from pyflow.runs import process_started, this_host

if TYPE_CHECKING:
    from docker import errors
else:
    errors = late("docker.errors")

RUN_LABEL: Final = "pyflow.run"
_CALLER_LABEL: Final = "pyflow.caller"
_FOLDER_LABEL: Final = "pyflow.folder"


def caller_labels(folder: str) -> dict[str, str]:
    """Labels that say which process a container belongs to, and which folder goes with it."""
    pid = os.getpid()
    return {_CALLER_LABEL: f"{this_host()} {pid} {process_started(pid)}", _FOLDER_LABEL: folder}


def remove_leftovers(engine: Any) -> int:
    """Remove the containers of callers on this machine that live no more; how many there were."""
    removed = 0
    for container in engine.api.containers(all=True, filters={"label": _CALLER_LABEL}):
        labels = container.get("Labels") or {}
        if _is_forsaken(labels.get(_CALLER_LABEL, "")):
            # Another caller may be doing the same.
            with contextlib.suppress(errors.APIError):
                engine.api.remove_container(container["Id"], force=True, v=True)
                removed += 1
            folder = labels.get(_FOLDER_LABEL, "")
            if os.path.basename(folder).startswith(FOLDER_PREFIX):
                shutil.rmtree(folder, ignore_errors=True)
    return removed


FOLDER_PREFIX: Final = "pyflow-docker-"


def _is_forsaken(label: str) -> bool:
    host, _, rest = label.partition(" ")
    pid, _, started = rest.partition(" ")
    return host == this_host() and pid.isdigit() and str(process_started(int(pid))) != started

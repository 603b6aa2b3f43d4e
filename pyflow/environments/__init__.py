"""Packages as an archive in the store: request → lock → folder → archive, and from there to the host of a task.

The first half runs once, on the author's machine, with uv; the second wherever a task runs, with nothing but the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow.late import late_names

if TYPE_CHECKING:
    from pyflow.environments.building import Environment, build, installed_aside, locked
    from pyflow.environments.cache import environments_folder, runtime_folder
    from pyflow.environments.lock import Lock, parse_lock
    from pyflow.environments.pruning import OnHost, on_host, prune, prune_beside
    from pyflow.environments.request import AUTO, Request, read_request
    from pyflow.environments.target import PYTHON_MINOR, Target, container_target, this_target
    from pyflow.environments.unpack import is_unpacked, unpacked
else:
    __getattr__ = late_names(
        globals(),
        {
            "pyflow.environments.building": "Environment build installed_aside locked",
            "pyflow.environments.cache": "environments_folder runtime_folder",
            "pyflow.environments.lock": "Lock parse_lock",
            "pyflow.environments.pruning": "OnHost on_host prune prune_beside",
            "pyflow.environments.request": "AUTO Request read_request",
            "pyflow.environments.target": "PYTHON_MINOR Target container_target this_target",
            "pyflow.environments.unpack": "is_unpacked unpacked",
        },
    )

__all__ = [
    "AUTO",
    "PYTHON_MINOR",
    "Environment",
    "Lock",
    "OnHost",
    "Request",
    "Target",
    "build",
    "container_target",
    "environments_folder",
    "installed_aside",
    "is_unpacked",
    "locked",
    "on_host",
    "parse_lock",
    "prune",
    "prune_beside",
    "read_request",
    "runtime_folder",
    "this_target",
    "unpacked",
]

"""Pods of container tasks: pyflow's runtime before and beside an image that knows nothing of it."""

from __future__ import annotations

from typing import Any

from pyflow.errors import ExecutorError
from pyflow.packed import PackedContainer

Template = dict[str, Any]


def refuse_container(node: PackedContainer) -> Template:
    """Container tasks trace and draw only.

    Raises:
        ExecutorError: Always.
    """
    raise ExecutorError(
        f"Container tasks do not run on executor 'argo' in this version of pyflow: {node.name!r} (called at {node.at})."
    )

"""Workflow objects as a cluster gives them: names that survive a repeated request, and statuses that were packed."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pyflow.errors import ExecutorError
from pyflow.jsontext import Json
from pyflow.late import late

if TYPE_CHECKING:
    from compression import zstd
else:
    zstd = late("compression.zstd")

SUBMISSION: Final = "pyflow/submission"
"""An annotation that tells one submission from another of the same name."""

# Kubernetes' own alphabet for generated names: no vowels, so no words (apimachinery, util/rand).
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
# What Argo's own process around the user's writes into the same log.
_ARGOS_OWN: Final = re.compile(r"time=\S+ level=\w+ msg=.* argo=true( |$)")
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


def with_name(manifest: Mapping[str, Json], namespace: str, instance_id: str | None = None) -> dict[str, Any]:
    """A copy with a name of our own instead of a generated one: created twice by two requests, it is there once."""
    named = dict(manifest)
    metadata = dict(named.get("metadata") or {})
    prefix = metadata.pop("generateName", None)
    if "name" not in metadata:
        random = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in os.urandom(5))
        metadata["name"] = f"{prefix or 'pyflow-'}{random}"
    metadata["namespace"] = namespace
    metadata["annotations"] = {**metadata.get("annotations", {}), SUBMISSION: os.urandom(8).hex()}
    if instance_id is not None:
        # The controller takes only workflows with its own id (Argo's docs/scaling.md).
        label = {"workflows.argoproj.io/controller-instanceid": instance_id}
        metadata["labels"] = {**metadata.get("labels", {}), **label}
    named["metadata"] = metadata
    return named


def is_same_submission(mine: Mapping[str, Json], found: Json) -> bool:
    """Whether an object that is there was made by this very request, whose answer was lost."""
    annotations = found.get("metadata", {}).get("annotations") or {}
    wanted: str = mine["metadata"]["annotations"][SUBMISSION]
    return bool(annotations.get(SUBMISSION) == wanted)


def hydrated(workflow: Json) -> Json:
    """The same workflow with its nodes, where the controller has compressed them to stay below the limit of an object.

    Raises:
        ExecutorError: They are kept in Argo's own database, which the Argo Server alone can read.
    """
    status = workflow.get("status") or {}
    packed = status.get("compressedNodes")
    if packed:
        status["nodes"] = json.loads(_decompressed(base64.b64decode(packed)))
    elif status.get("offloadNodeStatusVersion") and not status.get("nodes"):
        raise ExecutorError(
            f"The status of workflow {workflow['metadata']['name']!r} is kept in Argo's database, which the Kubernetes API "
            "does not show. Use the Argo Server: set ARGO_SERVER and ARGO_TOKEN."
        )
    return workflow


def is_argos_own(line: str) -> bool:
    """Whether a line of a pod's log is of the process that Argo puts around the user's."""
    return _ARGOS_OWN.match(line) is not None


def _decompressed(data: bytes) -> bytes:
    if not data.startswith(_ZSTD_MAGIC):
        return gzip.decompress(data)
    try:
        plain: bytes = zstd.decompress(data)
    except ModuleNotFoundError as error:
        raise ExecutorError(
            "This cluster packs its statuses with zstd, which this Python cannot read. Use the Argo Server: set ARGO_SERVER."
        ) from error
    return plain

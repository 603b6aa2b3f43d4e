"""The local code of a pipeline as one blob."""

from __future__ import annotations

from pathlib import Path

from pyflow.bundle import CodeBundle
from pyflow.errors import SecretError
from pyflow.jsontext import Json
from pyflow.store import ContentStore


def keep_bundle(bundle: CodeBundle | None, content: ContentStore) -> Json:
    """The address of the archive; None when nothing local is needed.

    Raises:
        SecretError: The value of a secret stands in one of the files; the message names it.
    """
    archive = bundle.write() if bundle else None
    if bundle is None or archive is None:
        return None
    try:
        content.guard.check([archive], "the local code that the tasks import")
    except SecretError:
        for name, source in bundle.files:
            data = source if isinstance(source, bytes) else Path(source).read_bytes()
            content.guard.check([data], f"the file {bundle.origin.get(name, name)}, which the tasks import,")
        raise
    digest = content.put_blob([archive])
    return {"digest": digest.hex, "size": digest.size_bytes}

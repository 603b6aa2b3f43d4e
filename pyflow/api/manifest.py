"""What a cluster would be handed, as somebody in a notebook looks at it."""

from __future__ import annotations

import json
from typing import Any


class Manifest(dict[str, Any]):
    """A manifest: a plain dictionary of plain JSON, which a notebook shows as a tree to open and close."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:  # noqa: ARG002
        return {"application/json": dict(self), "text/plain": json.dumps(self, indent=2)}

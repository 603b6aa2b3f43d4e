"""What a cluster would be handed, as somebody in a notebook looks at it."""

from __future__ import annotations

from typing import Any


class Manifest(dict[str, Any]):
    """A manifest: a plain dictionary of plain JSON, which a notebook shows as a tree to open and close."""

    def _repr_json_(self) -> dict[str, Any]:
        return dict(self)

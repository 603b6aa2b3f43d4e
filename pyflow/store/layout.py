"""What marks a place as a store of pyflow, and says which layout it has: the same in a folder and in a bucket."""

from __future__ import annotations

import json
from typing import Any

from pyflow.errors import StoreError
from pyflow.store.keys import LAYOUT_VERSION


def marker_bytes(**facts: bool) -> bytes:
    """The content of a new marker, with what else is known of the place."""
    return json.dumps({"layout": LAYOUT_VERSION, **facts}).encode() + b"\n"


def check_marker(content: bytes, *, at: str, store: str) -> dict[str, Any]:
    """What a marker says.

    Args:
        content: The marker's bytes.
        at: Where it lies, for messages.
        store: The store, for messages.

    Raises:
        StoreError: The store was made by a newer pyflow, or the marker is damaged.
    """
    said = _parsed(content)
    version = said.get("layout")
    if not isinstance(version, int) or version < 1:
        raise StoreError(
            f"{at} does not say which layout the store has: {content[:100]!r}. "
            f'If you know that this pyflow wrote the store, write {{"layout": {LAYOUT_VERSION}}} into it.'
        )
    if version > LAYOUT_VERSION:
        raise StoreError(
            f"The store {store} has layout {version}, and this pyflow reads layouts up to {LAYOUT_VERSION}: "
            "a newer one made it. Upgrade pyflow, or choose another store."
        )
    return said


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        said = json.loads(content)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}

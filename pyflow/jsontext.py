"""Plain JSON, as everything that pyflow writes down is: compact, ASCII, one line."""

from __future__ import annotations

import json
from typing import Any, Final, TypeAlias

Json: TypeAlias = Any
"""A value that JSON can hold. Spelled ``Any`` because a precise recursive type costs more than it tells."""

# Made once: ``json.dumps`` with separators makes an encoder for every call, which doubles the cost of small values.
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


def dump(value: Json) -> str:
    """A value as one line of ASCII."""
    return _ENCODER.encode(value)

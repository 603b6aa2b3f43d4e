"""Amounts as Kubernetes spells them."""

from __future__ import annotations

import re
from typing import Final

from pyflow.errors import DefinitionError

# Kubernetes' suffixes: powers of 1024 with an "i", powers of 1000 without.
_UNIT_BYTES: Final = {
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
}  # fmt: skip


def mebibytes(value: str | int, *, option: str) -> int:
    """Mebibytes, rounded up, from Kubernetes' spelling: ``"4Gi"``, ``"512Mi"``, ``"2G"`` or a number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", str(value)) if not isinstance(value, bool) else None
    unit = _UNIT_BYTES.get(match[2], 0 if match[2] else 1) if match else 0
    size_bytes = float(match[1]) * unit if match else 0
    if 0 < size_bytes < 2**20:
        raise DefinitionError(
            f"{option} must be like '4Gi' or '512Mi', got {value!r}: less than a mebibyte, for a plain number counts bytes."
        )
    if size_bytes <= 0:
        raise DefinitionError(f"{option} must be like '4Gi', '512Mi' or a number of bytes, got {value!r}.")
    return -int(-size_bytes // 2**20)

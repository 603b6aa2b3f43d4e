"""The environment that stores go by: that of the process, but while a task runs the one from before it.

A task may be given credentials of its own, or set them itself, for a bucket that is not the store's. What it is handed and
what it returns are still read and written with those of the process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TypeAlias

Variables: TypeAlias = "frozenset[tuple[str, str]]"
"""Names and values."""

_PREFIX = b"AWS_"

kept: Mapping[bytes, bytes] | None = None
"""The environment from before the task that runs in this process; None while none does."""


def variables(environment: Mapping[bytes, bytes] | None) -> Variables:
    """What stores read of an environment; of the process's own, as it is now, for None."""
    found = os.environb if environment is None else environment
    return frozenset((os.fsdecode(k), os.fsdecode(found[k])) for k in list(found) if k.startswith(_PREFIX))


@contextlib.contextmanager
def in_force(wanted: Variables) -> Iterator[None]:
    """Within the block the process has these variables of those that stores read, for libraries that look there."""
    before = variables(None)
    if before == wanted:
        yield
        return
    _put(wanted, instead_of=before)
    try:
        yield
    finally:
        _put(before, instead_of=wanted)


def _put(wanted: Variables, *, instead_of: Variables) -> None:
    for name, _ in instead_of - wanted:
        os.environ.pop(name, None)
    os.environ.update(wanted)

"""The pipelines whose stores are tampered with: results of each kind, large and small, and an error."""

from __future__ import annotations

import array

from pyflow import pipeline, task


class Point:
    """A class of the author's own, so that its values are pickled."""

    def __init__(self, x: str) -> None:
        self.x = x


@task
def make(kind: str, salt: str) -> object:
    """A value of a kind, above or below the size up to which results ride in the commit."""
    long = (salt + kind) * 3_000
    return {
        "text": long,
        "bytes": long.encode(),
        "json": {"values": [long, 1, None]},
        "pickle": (long, {1, 2}),
        "buffer": array.array("b", long.encode()),
        "small": {"salt": salt},
        "small pickle": (salt, {1}),
    }[kind]


@task
def shout(text: str) -> str:
    """One item of a map."""
    return text.upper() * 2_000


@task
def lengths(*values: object) -> list[int]:
    """Something that needs all of them."""
    return [len(value) for value in values]  # type: ignore[arg-type]


@task
def fail(salt: str) -> None:
    """Raise an error that can be rebuilt."""
    raise ValueError(salt)


KINDS = ("text", "bytes", "json", "pickle", "buffer", "small", "small pickle")


@pipeline
def good(salt: str) -> object:
    """All kinds of results."""
    made = [make(kind, salt) for kind in KINDS]
    items = shout.map([salt, "b"])
    return made, items, lengths(*made, items)


@pipeline
def bad(salt: str) -> object:
    """A run that fails."""
    return fail(salt)


def expected(salt: str) -> tuple[object, ...]:
    """What ``good`` returns."""
    made = [make.fn(kind, salt) for kind in KINDS]
    items = [shout.fn(salt), shout.fn("b")]
    return made, items, lengths.fn(*made, items)

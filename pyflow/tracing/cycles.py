"""Circles of calls that wait for each other, found when the last link of one is made."""

from __future__ import annotations

from collections.abc import Iterator

from pyflow.errors import DefinitionError
from pyflow.tracing.drafts import Draft, Scope, needs_of
from pyflow.tracing.location import here


def refuse_cycle(early: Draft, late: Draft, operation: str) -> None:
    """Raise when ``early`` already waits for ``late``.

    Raises:
        DefinitionError: The message walks the circle.
    """
    drafts = late.scope.trace.drafts
    came_from: dict[int, int] = {early.id: -1}
    todo = [early.id]
    while todo:
        current = todo.pop()
        if current == late.id:
            raise _cycle(came_from, early, late, operation)
        for needed in _waits_for(drafts[current]):
            if needed not in came_from:
                came_from[needed] = current
                todo.append(needed)


def _waits_for(draft: Draft) -> set[int]:
    """What ends before this draft: what it needs, all that is in it, and what the branches around it need to start."""
    waits = set(needs_of(draft)) | {inner.id for scope in draft.regions() for inner in scope.drafts}
    for owner in branches_around(draft):
        waits |= owner.needs | owner.after
    return waits


def branches_around(draft: Draft) -> Iterator[Draft]:
    """The branches that a draft is in, up to the body or the map that holds them."""
    scope: Scope | None = draft.scope
    while scope is not None and scope.kind == "branch" and scope.owner is not None:
        yield scope.owner
        scope = scope.parent


def _cycle(came_from: dict[int, int], early: Draft, late: Draft, operation: str) -> DefinitionError:
    drafts = late.scope.trace.drafts
    walk, current = [late], late.id
    while current != early.id:
        current = came_from[current]
        walk.append(drafts[current])
    walk.append(late)
    names = " → ".join(repr(draft.name) for draft in walk)
    places = ", ".join(f"{draft.name!r} was called at {draft.at}" for draft in walk[:-1])
    return DefinitionError(
        f"{operation} at {here()} closes a circle: {names}, each to run before the next ({places}). "
        "Take one of these orders away."
    )


def refuse_cycle_into(draft: Draft) -> None:
    """Raise when a new call in a branch needs something that waits for that branch.

    Raises:
        DefinitionError: The message walks the circle.
    """
    drafts = draft.scope.trace.drafts
    for owner in branches_around(draft):
        for needed in sorted(draft.needs | draft.after):
            refuse_cycle(drafts[needed], owner, f"The call of {draft.name!r}, which is inside {owner.name!r},")

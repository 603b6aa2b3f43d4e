"""Whose runs a store has, for somebody who looks for his own in vain: a store by its URL is often another project's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from pyflow.api.home import Workplace
from pyflow.store import LAYOUT, MARKER, ContentStore, folder_of

_MOST_SHOWN: Final = 3
_MOST_PROJECTS: Final = 50
"""How many are looked through: one request each."""


def no_runs_text(workplace: Workplace) -> str:
    """That there is no store yet, or no run of this owner in this project, and where in the store there are some instead."""
    content = workplace.content
    no_store = no_store_text(workplace)
    if no_store:
        return no_store
    none = f"The store {content.blobs.url} has no runs of {content.keys.owner!r} in project {content.keys.project!r}"
    others = others_text(workplace)
    return f"{none}.{others}" if others else f"{none} yet."


def no_store_text(workplace: Workplace) -> str:
    """That the store's folder has not been made; empty when it has, or when the store lies in none."""
    folder = folder_of(workplace.content.blobs.url)
    if folder is None or (Path(folder) / MARKER).exists():
        return ""
    return f"There is no store in {folder} yet; the first run makes it."


def others_text(workplace: Workplace) -> str:
    """Whose runs there are in the store beside those of this owner in this project, and how to see them; empty for nobody's."""
    content = workplace.content
    found = list(islice(_others(content), _MOST_SHOWN + 1))
    if not found:
        return ""
    shown = ", ".join(f"those of {owner!r} in project {project!r}" for project, owner in found[:_MOST_SHOWN])
    more = " …" if len(found) > _MOST_SHOWN else ""
    project, owner = found[0]
    whose = "" if owner == content.keys.owner else f" PYFLOW_OWNER={owner}"
    where = "" if project == content.keys.project else f" PYFLOW_PROJECT={project}"
    return f" It has {shown}{more}: set{where}{whose} to see them."


def _others(content: ContentStore) -> Iterator[tuple[str, str]]:
    """Project and owner of runs that are somebody else's: those of the same owner first, then those of the same project."""
    blobs, own = content.blobs, content.keys
    places = [
        (project, owner)
        for project in blobs.folders(LAYOUT)[:_MOST_PROJECTS]
        for owner in blobs.folders(f"{LAYOUT}/{project}/runs")
    ]
    yield from sorted(
        (place for place in places if place != (own.project, own.owner)),
        key=lambda place: (place[1] != own.owner, place[0] != own.project, place),
    )

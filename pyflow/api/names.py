"""The names of nodes and of items of maps, as people write them: ``scene[3]/fit[2]``."""

from __future__ import annotations

import operator
import re

from pyflow.contract import parse_slot
from pyflow.errors import NotFoundError


def split_name(name: str, index: int | None = None) -> tuple[str, tuple[int, ...]]:
    """``scene[3]/fit[2]`` → ``scene/fit`` and (3, 2); an index beside the name stands behind these.

    Raises:
        NotFoundError: The index is below 0.
        TypeError: It is no whole number.
    """
    name = str(name)  # whoever asks for node 0 is told which nodes there are
    base = re.sub(r"\[\d+\]", "", name)
    indices = tuple(int(n) for n in re.findall(r"\[(\d+)\]", name))
    return base, indices if index is None else (*indices, _checked(index, base))


def _checked(index: object, name: str) -> int:
    if isinstance(index, bool) or not hasattr(index, "__index__"):
        raise TypeError(f"Items of {name!r} are counted by whole numbers, from 0 on, and index={index!r} is none.")
    number = operator.index(index)
    if number < 0:
        raise NotFoundError(f"Items of {name!r} are counted from 0 on: there is none with index={number}.")
    return number


def slot_indices(slot: str) -> tuple[int, ...]:
    """The index vector in a slot."""
    return parse_slot(slot)[1]


def which_indices(name: str, depths: set[int], given: int) -> str:
    """What to write instead of a name with too many or too few indices."""
    depth = max(depths)
    if depth == 0:
        return f"{name!r} is not an item of a map, so it has no item to ask for. Leave the index out."
    maps = "a map" if depth == 1 else f"{depth} maps, one inside of the other"
    example = name + "[0]" * depth if "/" not in name else "[0]/".join(name.split("/", depth))
    indices = "no index" if given == 0 else "1 index" if given == 1 else f"{given} indices"
    return f"{name!r} is an item of {maps}, and the name gives {indices}. The first one is {example!r}."

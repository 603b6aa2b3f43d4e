"""The functions that pass one large array on, and the same with files between them.

The first two hold one array of their own while they run and the last holds none; `trail` lets the runner
know which process ran which, so that it can take what a function holds from what its process holds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = "npt.NDArray[np.float64]"


def leave_trail(trail: str, arrays: int) -> None:
    """Write down that this process ran a function which holds so many arrays of its own."""
    if trail:
        (Path(trail) / f"{os.getpid()}.{arrays}").touch()


def make(size: int, seed: int, trail: str) -> Array:
    """An array of `size` numbers from `seed` on."""
    leave_trail(trail, 1)
    return np.arange(seed, seed + size, dtype=np.float64)


def add_one(array: Array, trail: str) -> Array:
    """A new array, each number one more."""
    leave_trail(trail, 1)
    return array + 1


def sum_up(array: Array, trail: str) -> float:
    """The sum of all numbers (exact: they are whole and far below 2**53)."""
    leave_trail(trail, 0)
    return float(array.sum())


def open_mapped(path: str) -> Any:
    """The array in a file, mapped and not read."""
    return np.load(path, mmap_mode="r")


def make_file(size: int, seed: int, target: str, trail: str) -> str:
    """`make`, its result saved to `target`."""
    np.save(target, make(size, seed, trail))
    return target


def add_one_file(source: str, target: str, trail: str) -> str:
    """`add_one` from one file to another."""
    np.save(target, add_one(open_mapped(source), trail))
    return target


def sum_up_file(source: str, trail: str) -> float:
    """`sum_up` of a file."""
    return sum_up(open_mapped(source), trail)

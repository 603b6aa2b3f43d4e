"""Classes that a library makes of others, on demand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Generic, TypeVar

import pydantic

from pyflow.payload import decode, encode

T = TypeVar("T")


class Box(pydantic.BaseModel, Generic[T]):
    x: T


MAKE = """
import sys
from pydantic import BaseModel
from typing import Generic, TypeVar
from pyflow.payload import decode, encode

box = decode(memoryview(bytearray(open(sys.argv[1], "rb").read())))
print(type(box).__name__, box.x)
open(sys.argv[2], "wb").write(b"".join(encode(type(box)(x=8)).parts))
"""


def test_a_generic_model_is_of_the_same_class_when_it_comes_back(tmp_path: Path, monkeypatch):
    """``Box[int]`` made elsewhere is the ``Box[int]`` of here, though each side has made it for itself."""
    monkeypatch.setattr(Box, "__module__", "__main__")  # as a class of a script, which travels by value
    (tmp_path / "there").write_bytes(b"".join(encode(Box[int](x=7)).parts))
    command = [sys.executable, "-c", MAKE, str(tmp_path / "there"), str(tmp_path / "back")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "Box[int] 7\n"
    back = decode(memoryview(bytearray((tmp_path / "back").read_bytes())))
    assert isinstance(back, Box[int])
    assert back == Box[int](x=8)

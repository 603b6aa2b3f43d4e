"""Puts what pyflow brings along behind what the image has, and then does what the image's own module of this name does."""

import os
import sys
from importlib.machinery import PathFinder

import pyflow_start  # type: ignore[import-not-found]

_here = os.path.dirname(os.path.abspath(__file__))
pyflow_start.use_library(_here, os.path.join(_here, pyflow_start.LIBRARY))
sys.path.append(os.path.join(_here, pyflow_start.DEPENDENCIES))

_others = [entry for entry in sys.path if os.path.abspath(entry or ".") != _here]
_own = PathFinder.find_spec("sitecustomize", _others)
if _own is not None and _own.loader is not None:
    _code = _own.loader.get_code("sitecustomize")  # type: ignore[attr-defined]
    exec(_code, {**globals(), "__file__": _own.origin})

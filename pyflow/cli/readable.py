"""Values → text for people, JSON for programs, and files."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pickle
import pprint
import shutil
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from pyflow.cli.failures import Wrong
from pyflow.late import late
from pyflow.terminal import clean

if TYPE_CHECKING:
    import numpy as np
else:
    np = late("numpy")

_WIDTH: Final = 80


def readable(value: Any) -> str:
    """A value as a person wants to read it: text as it is, paths as paths, the rest as Python shows it."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, PurePath):
        return clean(str(value))
    if isinstance(value, bytes) and len(value) > 1000:
        return f"{value[:1000]!r}… ({len(value):,} bytes)"
    if type(value) in {list, dict, tuple, set, frozenset}:
        return clean(pprint.pformat(value, width=_WIDTH, sort_dicts=False, compact=True))
    return clean(repr(value))


def to_json(value: Any) -> str:
    """A value as JSON: arrays as lists, frames as a list of rows, dataclasses as objects, NaN as null.

    Raises:
        Wrong: JSON has no word for a part of it; the message names the part.
    """
    return json.dumps(_plain(value, "the result"), indent=2, ensure_ascii=False, allow_nan=False)


def write_to(value: Any, target: Path) -> None:  # noqa: C901  a branch for each kind of value
    """Write a value to a file that does not exist yet: files and folders are copied, text and bytes written.

    Arrays become ``.npy`` or ``.csv``, frames ``.csv``, ``.json`` or ``.parquet``, as the name ends; a name that ends
    in ``.json`` or ``.pkl`` takes any value.

    Raises:
        Wrong: There is such a file already, or its name does not say how to write the value.
    """
    if target.is_dir() and isinstance(value, Path):
        target /= value.name
    if target.exists():
        raise Wrong(f"{str(target)!r} exists already. Name another, or remove it first.")
    if not target.absolute().parent.is_dir():
        raise Wrong(f"There is no folder {str(target.absolute().parent)!r} to write to.")
    suffix = target.suffix.lower()
    if isinstance(value, Path):
        (shutil.copytree if value.is_dir() else shutil.copy2)(value, target)
    elif isinstance(value, (bytes, bytearray)):
        target.write_bytes(value)
    elif _is_of(value, "numpy", "ndarray") and suffix in {".npy", ".csv"}:
        _write_array(value, target)
    elif _is_of(value, "pandas", "DataFrame", "Series") and suffix in {".csv", ".json", ".parquet"}:
        _write_frame(value, target)
    elif suffix == ".json":
        target.write_text(to_json(value) + "\n", encoding="utf-8")
    elif suffix in {".pkl", ".pickle"}:
        target.write_bytes(pickle.dumps(value))
    elif isinstance(value, str):
        target.write_text(value, encoding="utf-8")
    else:
        raise Wrong(
            f"A value of type {type(value).__name__} cannot be written to {target.name!r}. End the name in {_endings(value)}."
        )


def _endings(value: Any) -> str:
    if _is_of(value, "numpy", "ndarray"):
        return ".npy, .csv, .json or .pkl"
    if _is_of(value, "pandas", "DataFrame", "Series"):
        return ".csv, .json, .parquet or .pkl"
    return ".json or .pkl"


def _write_array(value: Any, target: Path) -> None:
    if target.suffix.lower() == ".npy":
        np.save(target, value)
    else:
        np.savetxt(target, value, delimiter=",", fmt="%s")


def _write_frame(value: Any, target: Path) -> None:
    suffix = target.suffix.lower()
    has_names = any(name is not None for name in value.index.names)
    if suffix == ".csv":
        value.to_csv(target, index=has_names)
    elif suffix == ".json":
        value.to_json(target, orient="records" if hasattr(value, "columns") else "index")
    else:
        value.to_parquet(target)


def _is_of(value: Any, module: str, *names: str) -> bool:
    """Whether a value is of a class of a library that is loaded, without loading it."""
    library = sys.modules.get(module)
    return library is not None and isinstance(value, tuple(getattr(library, name) for name in names))


def _plain(value: Any, what: str) -> Any:  # noqa: C901, PLR0911  a line for each kind of value
    if value is None or (isinstance(value, (str, bool, int)) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return _plain(value.value, what)
    if isinstance(value, Mapping):
        return {_key(key, what): _plain(inner, f"{what}[{key!r}]") for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner, f"{what}[{i}]") for i, inner in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), f"{what}.{f.name}") for f in dataclasses.fields(value)}
    if _is_of(value, "pandas", "DataFrame"):
        return _plain(value.to_dict(orient="records"), what)
    if _is_of(value, "pandas", "Series"):
        return _plain(value.to_dict(), what)
    if _is_of(value, "numpy", "ndarray", "generic"):
        return _plain(value.tolist(), what)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, PurePath) or hasattr(value, "isoformat"):
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    raise Wrong(
        f"{what} is of type {type(value).__name__}, which JSON has no word for. Leave --json out, or write it with --to NAME.pkl."
    )


def _key(key: Any, what: str) -> str:
    if isinstance(key, (str, int, float, bool, type(None))):
        return key if isinstance(key, str) else json.dumps(key)
    if isinstance(key, (PurePath, enum.Enum)) or hasattr(key, "isoformat"):
        return str(_plain(key, what))
    raise Wrong(f"{what} has the key {key!r}, and keys in JSON are text. Leave --json out.")

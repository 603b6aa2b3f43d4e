"""The values of options, from the way users spell them: durations, sizes, environments, volumes and the like."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pyflow.errors import DefinitionError
from pyflow.graph.references import Secret, Volume
from pyflow.jsontext import Json
from pyflow.late import late

if TYPE_CHECKING:
    import difflib
else:
    difflib = late("difflib")

_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


TEMPORARY: Final = "/tmp"  # noqa: S108  of containers, which share it with nobody
"""Where temporary files of a task lie, and pyflow's beside them."""


def suggestion(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """`` Did you mean 'cpus'?`` for a near miss, or two of them; otherwise the list of what there is."""
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    if near:
        # Who writes `retry` may mean `retries` as well as `retry_on`: what is nearest by its letters is no better a guess.
        also = near[1:] if len(near) > 1 and near[1][:4] == near[0][:4] == name[:4] else []
        return f" Did you mean {' or '.join(map(repr, [near[0], *also]))}?"
    return f" There are: {', '.join(sorted(known))}."


def seconds(value: str | float, *, option: str, least: float = 1e-3) -> float:
    """A duration in seconds from ``90``, ``"90s"``, ``"1.5m"``, ``"2h"``, ``"1d"`` or ``"1h30m"``."""
    number = _parse_seconds(value)
    if number is None or not least <= number < 1e9:
        raise DefinitionError(f"{option} must be a duration like 90, '90s', '30m' or '1h30m', got {value!r}.")
    return number


def _parse_seconds(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str) or not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h|d))+|\d+(\.\d+)?", value):
        return None
    pieces = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value)
    return sum(float(n) * _UNIT_SECONDS[unit] for n, unit in pieces) if pieces else float(value)


def error_types(value: object) -> tuple[type[BaseException], ...]:
    """Exception classes, from one of them or a tuple."""
    types = value if isinstance(value, tuple) else (value,)
    if not types or not all(isinstance(t, type) and issubclass(t, BaseException) for t in types):
        raise DefinitionError(f"retry_on must be an exception class or a tuple of them, got {value!r}.")
    return types


def environment(value: object) -> tuple[tuple[str, str | Secret], ...]:
    """Variables and their values, sorted by name, from a dict of text to text or to secrets."""
    pairs = _mapping(value, option="env")
    for key, text in pairs.items():
        if not isinstance(text, Secret):
            _check_pair(key, text, option="env")
        elif not isinstance(key, str) or not key or "=" in key or "\0" in key:
            raise DefinitionError(f"env holds a secret under {key!r}, which is not the name of a variable.")
    return tuple(sorted(pairs.items()))


def text_pairs(value: object, *, option: str) -> tuple[tuple[str, str], ...]:
    """Names and values, sorted by name, from a dict of text to text."""
    pairs = _mapping(value, option=option)
    for key, text in pairs.items():
        _check_pair(key, text, option=option)
    return tuple(sorted(pairs.items()))


def _mapping(value: object, *, option: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise DefinitionError(f"{option} must be a dict of text to text, got {value!r}.")
    return value


def _check_pair(key: object, text: object, *, option: str) -> None:
    if not (isinstance(key, str) and isinstance(text, str)):
        raise DefinitionError(
            f"{option} must be a dict of text to text, got {key!r}: {text!r}. A number must be written as text."
        )
    if not key or "=" in key or "\0" in key + text:
        raise DefinitionError(
            f"{option} has {key!r}: {text!r}. A name is not empty and has no '=', and neither has a NUL."
        )


def mounts(value: object) -> tuple[tuple[str, Volume], ...]:
    """Volumes by the folder where the task finds them, sorted by folder."""
    if not isinstance(value, Mapping):
        raise DefinitionError(
            f"volumes must be a dict like {{'/mnt/data': Volume.named('data')}}, a folder for each volume, got {value!r}."
        )
    for folder, volume in value.items():
        if not isinstance(folder, str) or not _is_folder(folder):
            raise DefinitionError(f"volumes names {folder!r}, which must be an absolute folder such as '/mnt/data'.")
        if not isinstance(volume, Volume):
            raise DefinitionError(
                f"volumes[{folder!r}] must be a Volume, such as Volume.named('data') or Volume.claim('data'), got {volume!r}."
            )
        if folder == TEMPORARY and volume.kind != "scratch":
            raise DefinitionError(
                f"volumes[{folder!r}] must be a Volume.scratch(...), got {volume!r}: temporary files of one task are no other's. "
                "Let the volume lie in a folder of its own, such as '/mnt/data'."
            )
    return tuple(sorted(value.items()))


def _is_folder(path: str) -> bool:
    return path.startswith("/") and posixpath.normpath(path) == path and path != "/" and "\0" not in path


def requirements(value: object) -> str | tuple[str, ...]:
    """What ``packages`` asks for: requirements, or one text that names a file or is ``auto``."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and all(isinstance(v, str) for v in value):
        return tuple(value)
    raise DefinitionError(
        "packages must be a list of requirements like ['numpy==2.*'], the path of a requirements.txt, pyproject.toml or "
        f"script, or 'auto', got {value!r}."
    )


def python_minor(value: object) -> str:
    """A minor version of Python, such as ``3.12``."""
    if isinstance(value, str) and re.fullmatch(r"3\.\d{1,2}", value):
        return value
    raise DefinitionError(f"python must be a version like '3.12', in quotes, got {value!r}.")


def platform(value: object) -> str:
    """An operating system and an architecture as containers name them, such as ``linux/amd64``."""
    if isinstance(value, str) and re.fullmatch(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?", value):
        return value
    raise DefinitionError(f"platform must be like 'linux/amd64', got {value!r}.")


def plain_text(value: object, *, option: str) -> str:
    """A name that is not empty."""
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value
    raise DefinitionError(f"{option} must be a text, got {value!r}.")


def json_text(value: object, *, option: str) -> str:
    """A dict of plain values as JSON text, which is frozen and can be compared."""
    if not isinstance(value, dict):
        raise DefinitionError(f"{option} must be a dict, got {value!r}.")
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{option} must be made of plain JSON values, got {value!r}: {error}.") from error


def from_json_text(text: str | None) -> Json:
    """The value that ``json_text`` was given; None for None."""
    return None if text is None else json.loads(text)

"""The options of a task, as users spell them and as the rest of pyflow reads them.

``OptionArgs`` is the spelling, used by ``@task(...)``, ``with_options(...)`` and
``@pipeline(defaults=...)``; ``Options`` is the checked value. What an executor can do with each option
is said in ``pyflow.executors``.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypedDict

from pyflow.errors import DefinitionError
from pyflow.graph.references import Secret

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["NOT_BUILT_YET", "OptionArgs", "Options", "Unpack", "memory_mib", "seconds", "suggestion"]


class OptionArgs(TypedDict, total=False):
    """What a user may write in ``@task(...)`` and ``with_options(...)``."""

    name: str
    cpus: float
    memory: str | int
    gpus: int
    retries: int
    backoff: str | float
    retry_on: type[BaseException] | tuple[type[BaseException], ...]
    timeout: str | float
    env: Mapping[str, str | Secret]
    labels: Mapping[str, str]
    batch: int
    outputs: int


NOT_BUILT_YET: Final = frozenset(
    {
        "cache",
        "disk",
        "image",
        "memory_on_oom",
        "network",
        "node_selector",
        "packages",
        "platform",
        "pod_patch",
        "python",
        "secrets",
        "service_account",
        "tolerations",
        "volumes",
    }
)
"""Options that the design knows and this version does not honour yet."""

_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Kubernetes' suffixes: powers of 1024 with an "i", powers of 1000 without.
_UNIT_BYTES: Final = {
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What one call of a task asks of the place it runs in."""

    name: str | None = None
    cpus: float = 1.0
    memory_mib: int | None = None
    gpus: int = 0
    retries: int = 0
    """Attempts after the first."""
    backoff_s: float = 1.0
    """Pause before the second attempt; it doubles for each one after."""
    retry_on: tuple[type[BaseException], ...] | None = None
    """Which errors of the task's code are worth another attempt; None: every ``Exception``."""
    timeout_s: float | None = None
    """For one attempt."""
    env: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    batch: int = 1
    """Items of a map that one worker gets at once."""
    outputs: int | None = None
    """How many parts the result has, so that it can be unpacked while tracing."""
    given: frozenset[str] = frozenset()
    """The options that somebody wrote, as they are spelled."""

    def __post_init__(self) -> None:
        for name, value, least in (
            ("retries", self.retries, 0),
            ("gpus", self.gpus, 0),
            ("batch", self.batch, 1),
            ("outputs", 1 if self.outputs is None else self.outputs, 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise DefinitionError(f"{name} must be a whole number of {least} or more, got {value!r}.")
        if isinstance(self.cpus, bool) or not isinstance(self.cpus, (int, float)) or not 0 < self.cpus < 10_000:
            raise DefinitionError(f"cpus must be a number above 0, got {self.cpus!r}.")

    @classmethod
    def of(cls, args: Mapping[str, Any]) -> Options:
        """The options that these arguments spell.

        Raises:
            DefinitionError: A name is unknown (a near one is suggested), not built yet, or a value is wrong.
        """
        check_names(args)
        values: dict[str, Any] = {key: args[key] for key in _PLAIN & args.keys()}
        if "memory" in args:
            values["memory_mib"] = memory_mib(args["memory"])
        if "timeout" in args:
            values["timeout_s"] = seconds(args["timeout"], option="timeout")
        if "backoff" in args:
            values["backoff_s"] = seconds(args["backoff"], option="backoff", least=0.0)
        if "retry_on" in args:
            values["retry_on"] = _error_types(args["retry_on"])
        for key in ("env", "labels"):
            if key in args:
                values[key] = _text_pairs(args[key], option=key)
        return cls(**values, given=frozenset(args))


_PLAIN: Final = frozenset({"name", "cpus", "gpus", "retries", "batch", "outputs"})


def check_names(args: Mapping[str, Any]) -> None:
    """Refuse option names that mean nothing, all at once."""
    unknown = [name for name in args if name not in OptionArgs.__annotations__]
    if not unknown:
        return
    later = [name for name in unknown if name in NOT_BUILT_YET]
    lines = [f"Option {name!r} is not available in this version of pyflow." for name in later]
    lines += [
        f"There is no option {name!r}.{suggestion(name, OptionArgs.__annotations__)}"
        for name in unknown
        if name not in NOT_BUILT_YET
    ]
    raise DefinitionError(" ".join(lines))


def suggestion(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """`` Did you mean 'cpus'?`` for a near miss; otherwise the list of what there is."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    if near:
        return f" Did you mean {near[0]!r}?"
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


def memory_mib(value: str | int) -> int:
    """Mebibytes, rounded up, from Kubernetes' spelling: ``"4Gi"``, ``"512Mi"``, ``"2G"`` or a number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", str(value)) if not isinstance(value, bool) else None
    unit = _UNIT_BYTES.get(match[2], 0 if match[2] else 1) if match else 0
    size_bytes = float(match[1]) * unit if match else 0
    if size_bytes <= 0:
        raise DefinitionError(f"memory must be like '4Gi', '512Mi' or a number of bytes, got {value!r}.")
    return max(1, -int(-size_bytes // 2**20))


def _error_types(value: object) -> tuple[type[BaseException], ...]:
    types = value if isinstance(value, tuple) else (value,)
    if not types or not all(isinstance(t, type) and issubclass(t, BaseException) for t in types):
        raise DefinitionError(f"retry_on must be an exception class or a tuple of them, got {value!r}.")
    return types


def _text_pairs(value: object, *, option: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        raise DefinitionError(f"{option} must be a dict of text to text, got {value!r}.")
    for key, text in value.items():
        if isinstance(text, Secret):
            raise DefinitionError(
                f"{option} holds {text!r} for {key!r}: secrets are not available in this version of pyflow."
            )
        if not (isinstance(key, str) and isinstance(text, str)) or not key or "=" in key or "\0" in key + text:
            raise DefinitionError(
                f"{option} must be a dict of text to text, got {key!r}: {text!r}. A number must be written as text."
            )
    return tuple(sorted(value.items()))


def _check_tables() -> None:
    # The two spellings must name the same things; this runs once, at import.
    checked = {f.name for f in fields(Options)} - {"given"}
    spelled = {
        {"memory": "memory_mib", "backoff": "backoff_s", "timeout": "timeout_s"}.get(n, n)
        for n in OptionArgs.__annotations__
    }
    assert checked == spelled, checked ^ spelled


_check_tables()

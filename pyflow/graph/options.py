"""The options of a task, as users spell them and as the rest of pyflow reads them.

``OptionArgs`` is the spelling, used by ``@task(...)``, ``with_options(...)`` and
``@pipeline(defaults=...)``; ``Options`` is the checked value. What an executor can do with each option
is said in ``pyflow.executors``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final, TypedDict

from pyflow.errors import DefinitionError
from pyflow.graph.option_values import (
    environment,
    error_types,
    mounts,
    plain_text,
    platform,
    python_minor,
    requirements,
    seconds,
    suggestion,
)
from pyflow.graph.pod_values import label_pairs, pod_patch, tolerations
from pyflow.graph.quantities import mebibytes
from pyflow.graph.references import Secret, Volume
from pyflow.jsontext import Json

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["NOT_BUILT_YET", "OptionArgs", "Options", "Unpack"]


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
    memory_on_oom: str | int
    disk: str | int
    packages: str | Sequence[str]
    image: str
    python: str
    platform: str
    network: str
    volumes: Mapping[str, Volume]
    node_selector: Mapping[str, str]
    tolerations: Sequence[Mapping[str, Json]]
    service_account: str
    pod_patch: Mapping[str, Json]
    run_as_root: bool
    writable_root: bool


NOT_BUILT_YET: Final = frozenset({"cache", "secrets"})
"""Options that the design knows and this version does not honour yet."""


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
    env: tuple[tuple[str, str | Secret], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    batch: int = 1
    """Items of a map that one worker gets at once."""
    outputs: int | None = None
    """How many parts the result has, so that it can be unpacked while tracing."""
    memory_on_oom_mib: int | None = None
    """After each death by lack of memory the next attempt gets twice as much, up to this; None: as much as before."""
    disk_mib: int | None = None
    """Scratch space."""
    packages: str | tuple[str, ...] | None = None
    """Requirements; or as one text the path of a file that has them, or ``auto``."""
    image: str | None = None
    """The container image to run in; None: the runtime image."""
    python: str | None = None
    """The image's minor of Python, for an image that cannot be asked."""
    platform: str | None = None
    """The image's operating system and architecture, for one that cannot be asked."""
    network: str | None = None
    """The container's network, as Docker spells it."""
    volumes: tuple[tuple[str, Volume], ...] = ()
    """By the folder where the task finds them."""
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[str, ...] = ()
    """Each as JSON text."""
    service_account: str | None = None
    pod_patch: str | None = None
    """A strategic merge patch of the pod's spec, as JSON text: the last resort."""
    run_as_root: bool = False
    writable_root: bool = False
    """Whether the container may write outside of its scratch folders."""
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
        for flag, state in (("run_as_root", self.run_as_root), ("writable_root", self.writable_root)):
            if type(state) is not bool:
                raise DefinitionError(f"{flag} must be True or False, got {state!r}.")
        if self.memory_on_oom_mib is not None and self.memory_on_oom_mib <= (self.memory_mib or self.memory_on_oom_mib):
            raise DefinitionError(
                f"memory_on_oom is how far memory may grow after a death by lack of memory, so it needs memory, and must be more than it; "
                f"got {self.memory_on_oom_mib} MiB beside memory of {self.memory_mib} MiB."
            )

    @classmethod
    def of(cls, args: Mapping[str, Any]) -> Options:
        """The options that these arguments spell.

        Raises:
            DefinitionError: A name is unknown (a near one is suggested), not built yet, or a value is wrong.
        """
        check_names(args)
        values: dict[str, Any] = {key: args[key] for key in _PLAIN & args.keys()}
        for key in _PARSED.keys() & args.keys():
            field, parse = _PARSED[key]
            values[field] = parse(args[key])
        return cls(**values, given=frozenset(args))


_PLAIN: Final = frozenset({"name", "cpus", "gpus", "retries", "batch", "outputs", "run_as_root", "writable_root"})

_PARSED: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "memory": ("memory_mib", partial(mebibytes, option="memory")),
    "memory_on_oom": ("memory_on_oom_mib", partial(mebibytes, option="memory_on_oom")),
    "disk": ("disk_mib", partial(mebibytes, option="disk")),
    "timeout": ("timeout_s", partial(seconds, option="timeout")),
    "backoff": ("backoff_s", partial(seconds, option="backoff", least=0.0)),
    "retry_on": ("retry_on", error_types),
    "env": ("env", environment),
    "labels": ("labels", partial(label_pairs, option="labels")),
    "packages": ("packages", requirements),
    "image": ("image", partial(plain_text, option="image")),
    "python": ("python", python_minor),
    "platform": ("platform", platform),
    "network": ("network", partial(plain_text, option="network")),
    "volumes": ("volumes", mounts),
    "node_selector": ("node_selector", partial(label_pairs, option="node_selector")),
    "tolerations": ("tolerations", tolerations),
    "service_account": ("service_account", partial(plain_text, option="service_account")),
    "pod_patch": ("pod_patch", pod_patch),
}
"""How each option that is not taken as it is becomes a field."""


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


def _check_tables() -> None:
    # The two spellings must name the same things; this runs once, at import.
    checked = {f.name for f in fields(Options)} - {"given"}
    assert checked == _PLAIN | {field for field, _ in _PARSED.values()}
    assert set(OptionArgs.__annotations__) == _PLAIN | _PARSED.keys()


_check_tables()

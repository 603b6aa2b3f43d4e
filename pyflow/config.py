"""Settings: from ``configure``, ``PYFLOW_*`` variables and ``[tool.pyflow]``, in that order.

What a call or a decorator says comes before all of these; that is the matter of ``pyflow.api``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyflow.errors import ConfigError
from pyflow.late import late
from pyflow.uncaught import tell_plainly

if TYPE_CHECKING:
    import difflib
    import pwd

    import tomli as tomllib
else:
    difflib = late("difflib")
    pwd = late("pwd")
    tomllib = late("tomllib" if sys.version_info >= (3, 11) else "tomli")

PREFIX: Final = "PYFLOW_"
_NOT_SETTINGS: Final = ("PYFLOW_TEST_",)
"""Prefixes of variables that belong to the tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What may be set outside of a call. None: nobody has set it."""

    executor: str | None = None
    store: str | None = None
    project: str | None = None
    owner: str | None = None
    parallelism: int | None = None
    progress: bool | None = None
    key_file: str | None = None
    trust_store: bool | None = None
    secrets: str | None = None
    allow_secrets: str | None = None
    argo: Mapping[str, Any] | None = field(default=None, repr=False)  # it may hold a token
    """The table of settings for Argo, by the names in ``ARGO``."""
    docker: Mapping[str, Any] | None = None
    """The table of settings for Docker, by the names in ``DOCKER``."""
    volumes: Mapping[str, Any] | None = None
    """Which folder of this machine stands for a volume, by the volume's name."""

    def over(self, other: Settings) -> Settings:
        """These, and where nothing is set the others; a table is merged name by name."""
        mine = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        for name in TABLES:
            if name in mine and getattr(other, name) is not None:
                mine[name] = {**getattr(other, name), **mine[name]}
        return replace(other, **mine)


_KINDS: Final[dict[str, type]] = {
    "executor": str, "store": str, "project": str, "owner": str, "parallelism": int, "progress": bool,
    "key_file": str, "trust_store": bool, "secrets": str, "allow_secrets": str,
    "argo": dict, "docker": dict, "volumes": dict,
}  # fmt: skip

ARGO: Final[dict[str, tuple[type, ...]]] = {
    "host": (str,), "token": (str,), "token_file": (str,), "namespace": (str,), "api": (str,), "context": (str,),
    "verify_ssl": (bool, str), "base_href": (str,), "instance_id": (str,), "timeout_s": (int, float),
    "service_account": (str,), "image": (str,), "registry": (str,), "image_pull_policy": (str,), "image_pull_secrets": (list, tuple),
    "s3_credentials": (str,), "s3_secret": (str,), "s3_access_key": (str,), "s3_secret_key": (str,),
    "s3_endpoint": (str,), "s3_region": (str,), "s3_ca_secret": (str,), "s3_ca_key": (str,), "key_secret": (str,), "trust_bucket": (bool,),
    "parallelism": (int,), "labels": (dict,), "annotations": (dict,), "node_selector": (dict,),
    "tolerations": (list, tuple), "priority_class": (str,), "run_as": (str, int), "entrypoint": (str,), "run_timeout": (str, int, float),
    "keep_for": (str, int, float), "pod_gc": (str,), "target": (str,),
}  # fmt: skip
"""The settings in the table ``argo`` with the types they may have; ``ArgoSettings`` says what each is for."""

DOCKER: Final[dict[str, tuple[type, ...]]] = {"registry": (str,), "base": (str,), "network": (str,)}
"""The settings in the table ``docker``: a prefix for the name of the runtime image, where it may be pulled from; the image that it is
built on; the network of all containers whose task says nothing else."""

TABLES: Final[dict[str, Mapping[str, tuple[type, ...]] | None]] = {"argo": ARGO, "docker": DOCKER, "volumes": None}
"""Settings that are tables, with the names that they may have; None where the user chooses them, for text."""

_configured = Settings()


def configure(**settings: Any) -> None:
    """Set defaults for this process: ``configure(executor="inprocess", store="/data/pyflow")``.

    A relative path counts from the folder in which the process works now, wherever it goes later.

    Raises:
        ConfigError: A setting is unknown, or has a wrong type.
    """
    global _configured  # noqa: PLW0603  a notebook's settings are the process's
    tell_plainly()
    _configured = located(checked(settings, source="configure()")).over(_configured)


def reset() -> None:
    """Forget what ``configure`` has set."""
    global _configured  # noqa: PLW0603
    _configured = Settings()


def load_settings(environment: Mapping[str, str], folder: Path) -> Settings:
    """All settings that hold for a process with this environment in this folder.

    Raises:
        ConfigError: A setting is unknown, or has a wrong type; the message says where it was made.
    """
    file = find_pyproject(folder)
    from_file = Settings() if file is None else _from_file(file)
    return _configured.over(_from_environment(environment)).over(from_file)


def find_pyproject(folder: Path) -> Path | None:
    """The nearest ``pyproject.toml``, in this folder or above."""
    for candidate in (folder, *folder.parents):
        file = candidate / "pyproject.toml"
        if file.is_file():
            return file
    return None


def project_folder(folder: Path) -> Path:
    """The folder of the nearest ``pyproject.toml``; without one the folder itself."""
    file = find_pyproject(folder)
    return folder if file is None else file.parent


def checked(
    values: Mapping[str, Any], *, source: str, line_of: Callable[[str], int | None] = lambda _: None
) -> Settings:
    """Settings from names and values.

    Args:
        values: What was said.
        source: Where, for messages.
        line_of: In which line of the source a name stands, where it has lines.

    Raises:
        ConfigError: Names are unknown, or values of the wrong type; the message tells all of them.
    """
    faults = []
    for name, value in values.items():
        line = line_of(name)
        fault = _fault(name, value, source if line is None else f"{source}:{line}")
        if fault:
            faults.append(fault)
    if faults:
        raise ConfigError("\n".join(faults))
    return Settings(**{k: os.fspath(v) if isinstance(v, os.PathLike) else v for k, v in values.items()})


def _fault(name: str, value: object, source: str) -> str:
    """What is wrong with a setting; empty when nothing is."""
    kind = _KINDS.get(name)
    if kind is None:
        return f"{source} has no setting {name!r}. {_hint(name, {known: repr(known) for known in _KINDS})}"
    if value is None:
        return ""
    if kind is dict:
        return _fault_of_table(name, value, source)
    if type(value) is not kind and not (kind is str and isinstance(value, os.PathLike)):
        return f"{source}: {name} must be of type {kind.__name__}, got {value!r}."
    if name == "parallelism" and isinstance(value, int) and value < 1:
        return f"{source}: parallelism must be 1 or more, got {value!r}."
    return ""


def _fault_of_table(name: str, table: object, source: str) -> str:
    """The first unknown name or wrong type in a table, if there is one; no value is shown, for it may be a token."""
    if not isinstance(table, Mapping):
        return f"{source}: {name} must be a table of settings, got {type(table).__name__}."
    known = TABLES[name]
    for inner, value in table.items():
        kinds = (str,) if known is None else known.get(inner) if isinstance(inner, str) else None
        if kinds is None:
            assert known is not None
            hint = _hint(str(inner), {each: repr(each) for each in known})
            return f"{source}: {name} has no setting {inner!r}. {hint}"
        if value is not None and type(value) not in kinds and not (dict in kinds and isinstance(value, Mapping)):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            return f"{source}: {name}.{inner} must be of type {wanted}, got {type(value).__name__}."
    return ""


def located(settings: Settings) -> Settings:
    """The settings with paths that stay what they mean now, wherever the working folder goes."""
    paths: dict[str, Any] = {name: absolute(path) for name in _PATHS if _is_path(path := getattr(settings, name))}
    if settings.volumes:
        paths["volumes"] = {name: path and absolute(path) for name, path in settings.volumes.items()}
    return replace(settings, **paths)


def _is_path(text: str | None) -> bool:
    return bool(text) and ":/" not in str(text)


def absolute(path: str | None) -> str:
    """A path that a setting names, wherever the working folder goes; empty for none."""
    return os.path.abspath(os.path.expanduser(path)) if path else ""  # noqa: PTH100, PTH111  a link stays one


def slug(text: str, *, otherwise: str) -> str:
    """A text as one segment of a key: letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:64] or otherwise


def _name_of_uid(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # containers run as users that no file knows
        return f"uid{uid}"


def default_owner(environment: Mapping[str, str]) -> str:
    """The user's name, as the system knows it."""
    name = (
        environment.get("LOGNAME")
        or environment.get("USER")
        or environment.get("USERNAME")
        or _name_of_uid(os.getuid())
    )
    return slug(name, otherwise="user")


def _hint(name: str, spelled: Mapping[str, str]) -> str:
    """What somebody may have meant who wrote an unknown name; ``spelled`` says how each setting is written there."""
    near = difflib.get_close_matches(name, spelled, n=1)
    return f"Did you mean {spelled[near[0]]}?" if near else f"There are: {', '.join(spelled.values())}."


_INSTEAD: Final = {"argo": "Set ARGO_SERVER, ARGO_TOKEN and ARGO_NAMESPACE as for Argo's own command, or write"}


def _from_environment(environment: Mapping[str, str]) -> Settings:
    settings = Settings()
    for variable in environment:  # of most only the name matters, and ``os.environ`` decodes what it is asked for
        if not variable.startswith(PREFIX) or variable.startswith(_NOT_SETTINGS):
            continue
        text = environment[variable]
        name = variable[len(PREFIX) :].lower()
        if _KINDS.get(name) is dict:
            raise ConfigError(
                f"{variable} cannot hold a table. {_INSTEAD.get(name, 'Write')} configure({name}={{...}}) or [tool.pyflow.{name}]."
            )
        if name not in _KINDS:
            hint = _hint(name, {known: PREFIX + known.upper() for known, kind in _KINDS.items() if kind is not dict})
            raise ConfigError(f"Variables that start with {PREFIX} are settings, and {variable} is none. {hint}")
        value = {name: _parsed(text, _KINDS[name], variable)}
        settings = checked(value, source=f"The variable {variable}").over(settings)
    return settings


def _parsed(text: str, kind: type, variable: str) -> object:
    if kind is int:
        if not re.fullmatch(r"\d{1,9}", text):
            raise ConfigError(f"The variable {variable} must be a whole number, got {text!r}.")
        return int(text)
    if kind is bool:
        known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        if text.lower() not in known:
            raise ConfigError(f"The variable {variable} must be true or false, got {text!r}.")
        return known[text.lower()]
    return text


def _from_file(file: Path) -> Settings:
    source = f"[tool.pyflow] in {file}"
    try:
        text = file.read_text(encoding="utf-8")
        # Reading TOML costs 15 ms at the first time.
        table = tomllib.loads(text) if "pyflow" in text else {}
    except ValueError as error:  # no TOML, or not even UTF-8
        raise ConfigError(f"{file} is not valid TOML: {error}.") from error
    tool = table.get("tool", {})
    found = tool.get("pyflow", {}) if isinstance(tool, dict) else {}
    if not isinstance(found, dict):
        raise ConfigError(f"{source} must be a table of settings, got {found!r}.")
    settings = checked(found, source=source, line_of=partial(_line_in, text.splitlines()))
    for name in _PATHS:
        path = getattr(settings, name)
        if _is_path(path):
            beside: dict[str, Any] = {name: _beside(file, path, name, source)}
            settings = replace(settings, **beside)
    if settings.volumes:
        volumes = {name: _beside(file, path, f"volumes.{name}", source) for name, path in settings.volumes.items()}
        settings = replace(settings, volumes=volumes)
    return settings


def _line_in(lines: list[str], name: str) -> int | None:
    """In which line the table ``[tool.pyflow]`` says a name: as a key, or as a table of its own."""
    key = re.compile(rf"""\s*["']?{re.escape(name)}["']?\s*[.=]""")
    table = re.compile(rf"""\s*\[tool\.pyflow\.["']?{re.escape(name)}["']?[\].]""")
    is_inside = False
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("["):
            is_inside = line.strip().startswith("[tool.pyflow]")
        if table.match(line) or (is_inside and key.match(line)):
            return number
    return None


_PATHS: Final = ("store", "key_file", "secrets")
"""Settings that may be paths; in a file they count from there."""


def _beside(file: Path, path: str, name: str, source: str) -> str:
    try:
        return str(file.parent / Path(path).expanduser())
    except RuntimeError as error:
        raise ConfigError(f"{source}: nobody knows the home folder that {name} names, got {path!r}.") from error

"""Where runs of this process are kept: settings → store, project, owner."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyflow.config import Settings, absolute, default_owner, load_settings, project_folder, slug
from pyflow.contract import Home
from pyflow.errors import ConfigError, PyflowError, StoreError
from pyflow.runtime import open_home
from pyflow.store import ContentStore, folder_of, names_scheme

STORE_FOLDER = ".pyflow"


@dataclass(frozen=True, slots=True)
class Workplace:
    """All that is settled before a run is started or looked up."""

    settings: Settings
    home: Home
    content: ContentStore
    results: Path
    """Folder for files that results consist of."""


def open_workplace(
    given: Settings, *, environment: Mapping[str, str] = os.environ, folder: Path | None = None
) -> Workplace:
    """The store and the names that hold for a call in this process.

    Args:
        given: What the call itself says.
        environment: The environment variables.
        folder: The working folder; None: the process's.

    Raises:
        ConfigError: A setting is unknown or wrong, or names a store where none can be.
    """
    folder = folder or Path.cwd()
    settings = given.over(load_settings(environment, folder))
    base = project_folder(folder)
    project = settings.project or slug(base.name, otherwise="project")
    owner = settings.owner or default_owner(environment)
    for name, value in (("project", project), ("owner", owner)):
        if slug(value, otherwise="") != value:
            raise ConfigError(f"The {name} {value!r} must be made of letters, digits, '.', '_' and '-', at most 64.")
    url = settings.store or str(base / STORE_FOLDER)
    if not names_scheme(url):
        # Not resolved: a link to a store on another disk may be moved.
        url = os.path.abspath(os.path.expanduser(url))  # noqa: PTH100, PTH111
    home = Home(
        store_url=url,
        project=project,
        owner=owner,
        key_file=absolute(settings.key_file),
        trusts_store=bool(settings.trust_store),
        secrets=absolute(settings.secrets),
        allow_secrets=settings.allow_secrets or "",
    )
    try:
        content, store_folder = open_home(home), folder_of(url)
    except StoreError as error:
        raise ConfigError(str(error)) from None
    if store_folder is not None:
        _check_no_file(store_folder)
    # Beside what they were made from, so that whoever chose a disk for the one has chosen it for the other.
    kept = Path(store_folder or base / STORE_FOLDER)
    return Workplace(settings, home, content, kept / "results")


def _check_no_file(folder: str) -> None:
    """Refuse a store at, or below, what is no folder: to somebody who reads, it would look empty."""
    there = next((path for path in (folder, *map(str, Path(folder).parents)) if os.path.exists(path)), "/")  # noqa: PTH110
    if not os.path.isdir(there):  # noqa: PTH112  unlike a Path's, it says no where looking is not allowed
        where = "that" if there == folder else there
        raise ConfigError(f"There can be no store at {folder}: {where} is a file. Name a folder.")


def command(words: str, run_id: str, store_url: str) -> str:
    """``pyflow show RUN`` as it finds the run from here: with the store, when the settings name another one."""
    try:
        is_known = open_workplace(Settings()).content.blobs.url == store_url
    except PyflowError:
        is_known = False  # the settings are wrong by now; then it is better to be plain
    store = "" if is_known else f" --store {shlex.quote(store_url)}"
    return f"pyflow {words} {run_id}{store}"

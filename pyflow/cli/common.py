"""What several commands take: a store, a run, JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import click

from pyflow.api import Run, Workplace, find_run, no_store_text, open_workplace
from pyflow.cli.failures import Wrong
from pyflow.cli.output import width
from pyflow.config import Settings
from pyflow.errors import NotFoundError

F = TypeVar("F", bound="Callable[..., Any]")

_STORE = "URL or folder of the store. Otherwise the one that the settings name."


_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([hdw])")


def age(_ctx: click.Context, _param: click.Parameter, value: str | None) -> timedelta | None:
    """Read the value of an option such as ``12h``, ``30d`` or ``4w``."""
    if value is None:
        return None
    found = _AGE.fullmatch(value.strip().lower())
    if found is None:
        raise click.BadParameter(f"{value!r} is not an age. Write hours, days or weeks: 12h, 30d, 4w.")
    return float(found[1]) * _UNITS[found[2]]


def store_option(function: F) -> F:
    """``--store URL``."""
    return click.option("--store", metavar="URL", help=_STORE)(function)


def json_option(function: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(function)


def run_argument(function: F) -> F:
    """``RUN``."""
    return click.argument("run_id", metavar="RUN")(function)


def workplace_of(store: str | None) -> Workplace:
    """The store that a command works on."""
    return open_workplace(Settings(store=store))


def made_workplace_of(store: str | None) -> Workplace:
    """The store that a command works on, for one that would say nothing is wrong, or nothing to do, of a misspelt one.

    Raises:
        Wrong: The store was named, and is not there.
    """
    workplace = workplace_of(store)
    if store is not None and (missing := no_store_text(workplace)):
        raise Wrong(missing)
    return workplace


def run_of(text: str, store: str | None) -> Run:
    """The run that a command is about.

    Raises:
        Wrong: There is no such run, or several.
    """
    try:
        return find_run(text, workplace_of(store))
    except NotFoundError as error:
        raise Wrong(str(error)) from error


def short_id(run_id: str) -> str:
    """What is enough to name a run on a narrow terminal: the end of its id, which differs between any two."""
    return run_id if (limit := width()) is None or limit >= 100 else run_id.rpartition("-")[2]

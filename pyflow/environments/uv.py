"""uv, the program that chooses and installs packages: where it is, and what its failures mean for the author."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyflow.environments.request import Request
from pyflow.environments.target import Target
from pyflow.errors import ConfigError, DefinitionError, ExecutorError, PyflowError
from pyflow.late import late

if TYPE_CHECKING:
    import shutil
    import subprocess

    import uv
else:
    shutil = late("shutil")
    subprocess = late("subprocess")
    uv = late("uv")  # where packages are resolved, and may be missing

_MOST_TOLD: Final = 900
_USER_INFO: Final = re.compile(r"(://)[^/\s@]+@")

_REFUSED: Final = ("401 Unauthorized", "403 Forbidden", "(401)", "(403)")
_UNREACHABLE: Final = (
    "Failed to fetch",
    "error sending request",
    "dns error",
    "Request failed after",
    "network was disabled",
)
_SOURCES_ONLY: Final = ("has no usable wheels", "have no usable wheels", "building from source is disabled", "no-build")
_OTHER_PLATFORM: Final = ("no wheels with a matching platform tag", "no wheels with a matching Python ABI tag")


def find_uv() -> str:
    """The path of uv: the one that came with pyflow, else the one on ``PATH``.

    Raises:
        ConfigError: There is none.
    """
    beside = Path(sys.executable).with_name("uv")
    try:
        # The package of that name carries the program, and knows where it was put.
        found: str | None = uv.find_uv_bin()
    except ImportError:
        found = str(beside) if beside.is_file() else shutil.which("uv")
    except FileNotFoundError:
        found = shutil.which("uv")
    if found is None:
        raise ConfigError(
            f"The option 'packages' needs the program uv, which is neither installed for {sys.executable} nor on PATH. "
            "Install it: pip install uv"
        )
    return found


def run_uv(
    arguments: Sequence[str], request: Request, target: Target, *, doing: str, environ: Mapping[str, str] = os.environ
) -> str:
    """What uv prints.

    Args:
        arguments: Of uv.
        request: Who asked, and in which folder uv looks for its settings.
        target: What for.
        doing: For messages: ``choose``, ``install``.

    Raises:
        PyflowError: uv is missing, or could not do it; the message says why, and where the request stands.
    """
    command = [find_uv(), *arguments]
    environment = {**environ, "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=request.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise ConfigError(
            f"The option 'packages' needs the program uv, and {command[0]!r} does not start: {error}."
        ) from error
    if done.returncode:
        raise error_of(done.stderr, request, target, doing=doing)
    return done.stdout


def error_of(told: str, request: Request, target: Target, *, doing: str) -> PyflowError:
    """What a failure of uv means, in words for the author."""
    text = _in_one_line(_USER_INFO.sub(r"\1", told))
    why = shortened(text)
    if any(sign in text for sign in _REFUSED):
        return ExecutorError(
            f"The packages of {request.where} could not be fetched, because the package index refused. uv says: {why}. "
            "Let uv know the name and password: UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, a .netrc file, or a keyring."
        )
    if any(sign in text for sign in _UNREACHABLE):
        return ExecutorError(
            f"The packages of {request.where} could not be fetched, because no package index answered. uv says: {why}. "
            "They are needed once, on this machine; set the index as for uv itself (UV_DEFAULT_INDEX, uv.toml), or try again."
        )
    if any(sign in text for sign in _SOURCES_ONLY):
        return DefinitionError(
            f"The {request.where} needs a package that is offered as source code only, not built for {target}. uv says: {why}. "
            "Take a version that has a wheel, or build one ('pip wheel NAME') and name its file: packages=['./NAME-1.0-….whl']."
        )
    if any(sign in text for sign in _OTHER_PLATFORM):
        return DefinitionError(
            f"The {request.where} needs a package that is not built for {target}. uv says: {why}. "
            "Take another version of it, or another python= or platform=."
        )
    if "No solution found" in text or "parse" in text:
        return DefinitionError(f"The {request.where} cannot be met for {target}. uv says: {why}.")
    if "No space left" in text:
        return ExecutorError(f"uv could not {doing} the packages of {request.where}: the disk is full. uv says: {why}.")
    return DefinitionError(f"uv could not {doing} the packages of {request.where} for {target}. uv says: {why}.")


def shortened(text: str) -> str:
    """An explanation of uv's as one paragraph, cut where it becomes a list."""
    words = _in_one_line(text)
    words = (_HEADING.sub("", words) or words).rstrip(". ")
    return words if len(words) <= _MOST_TOLD else words[:_MOST_TOLD].rsplit(" ", 1)[0] + " …"


_HEADING: Final = re.compile(
    r"^(?:No solution found(?: when resolving dependencies)?|Request failed after \d+ retries in \S+s):?\s*"
)


def _in_one_line(text: str) -> str:
    """What uv prints, without the frame that it draws around it and the line breaks that it puts into sentences."""
    lines = [re.sub(r"^\s*(?:error:|cause:|×|╰─▶|├─▶|│|hint:)\s*", "", line).strip() for line in text.splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("warning:"))

"""What uv says becomes what the author needs to know: whose move it is, why, and where the request stands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pyflow.environments import Target, read_request
from pyflow.environments import uv as module
from pyflow.environments.uv import error_of, find_uv, run_uv, shortened
from pyflow.errors import ConfigError, DefinitionError, ExecutorError
from pyflow.late import late

TARGET = Target("3.11", "linux/amd64")


@pytest.fixture
def request_(tmp_path):
    return read_request(
        ["six"], [tmp_path], "option 'packages' of task 'fit' (defined at flow.py:3, called at flow.py:9)"
    )


CONFLICT = """\
error: No solution found when resolving dependencies
  cause: Because only pandas==3.0.0 is available and pandas==3.0.0 depends on numpy>=2, we can conclude that pandas>=3 depends on numpy>=2.
         And because you require numpy<2 and pandas>=3, we can conclude that your requirements are unsatisfiable.
"""
SOURCES = """\
error: No solution found when resolving dependencies
  cause: Because all versions of docopt have no usable wheels and you require docopt, we can conclude that your requirements are unsatisfiable.

hint: Wheels are required for `docopt` because building from source is disabled for all packages (i.e., with `--no-build`)
"""
PLATFORM = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because tensorflow-macos>=2.12.0 has no wheels with a matching
      platform tag (e.g., `manylinux_2_28_x86_64`) and you require
      tensorflow-macos, we can conclude that your requirements are unsatisfiable.
"""
NO_INDEX = """\
error: Request failed after 3 retries in 8.0s
  cause: Failed to fetch: https://me:secret@127.0.0.1:9/simple/six/
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""


@pytest.mark.parametrize(
    ("told", "kind", "message"),
    [
        (
            CONFLICT,
            DefinitionError,
            "cannot be met for Python 3.11 on linux/amd64. uv says: Because only pandas==3.0.0",
        ),
        (
            SOURCES,
            DefinitionError,
            "source code only, not built for Python 3.11.*uv says: Because all versions of docopt",
        ),
        (PLATFORM, DefinitionError, "not built for Python 3.11 on linux/amd64. uv says: Because tensorflow-macos"),
        (
            NO_INDEX,
            ExecutorError,
            "no package index answered. uv says: Failed to fetch: https://127.0.0.1:9/simple/six/",
        ),
        ("error: failed to write: No space left on device", ExecutorError, "the disk is full"),
        ("error: something new", DefinitionError, "uv could not choose the packages.*something new"),
    ],
)
def test_each_failure_has_its_error(request_, told, kind, message):
    """The place of the request is in each, and no password."""
    error = error_of(told, request_, TARGET, doing="choose")
    assert type(error) is kind
    assert "task 'fit' (defined at flow.py:3, called at flow.py:9)" in str(error)
    assert "secret" not in str(error)
    with pytest.raises(kind, match=message):
        raise error


def test_a_long_explanation_is_cut():
    """What uv lists for pages is cut at a word."""
    told = "error: No solution found\n  cause: Because " + "numpy==1.2.3 and " * 200
    assert len(shortened(told)) < 950
    assert shortened(told).endswith(" …")


def test_without_uv_the_error_says_how_to_get_it(monkeypatch):
    """Neither installed beside Python, nor on PATH."""
    monkeypatch.setitem(sys.modules, "uv", None)
    # The one of this process may have loaded uv for a test before this one.
    monkeypatch.setattr(module, "uv", late("uv"))
    monkeypatch.setattr(sys, "executable", "/nowhere/bin/python")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="pip install uv"):
        find_uv()


def test_a_uv_that_does_not_start_is_told(request_, monkeypatch):
    """For one that is built for another processor, say."""
    monkeypatch.setattr(module, "find_uv", lambda: "/nowhere/uv")
    with pytest.raises(ConfigError, match="'/nowhere/uv' does not start"):
        run_uv(["--version"], request_, TARGET, doing="choose")


def test_uv_came_with_pyflow():
    """It is a dependency, so it is there without a step of the user's."""
    assert subprocess.run([find_uv(), "--version"], capture_output=True, check=True).stdout.startswith(b"uv ")

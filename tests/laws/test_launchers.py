"""Every launcher keeps the same laws."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyflow.contract import Home
from pyflow.executors.inprocess import InprocessLauncher
from pyflow.executors.interrupts import Interrupts
from pyflow.executors.local.launcher import PoolLauncher
from pyflow.executors.local.worker import Kind
from pyflow.runtime import open_home
from pyflow.testing import Pad, launcher_laws


def inprocess(content):
    return InprocessLauncher(content, Interrupts())


def local(content):
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return PoolLauncher(Kind("", str(Path.cwd()), environment), content, room=4)


@pytest.mark.parametrize("make_launcher", [inprocess, local])
@pytest.mark.parametrize("law", launcher_laws(), ids=lambda law: law.__name__)
def test_launcher_keeps_the_law(tmp_path, make_launcher, law):
    """What is launched ends, once, and is told."""
    home = Home(store_url=str(tmp_path / "store"), project="p", owner="o")
    pad = Pad(make_launcher, open_home(home), home, has_processes=make_launcher is local)
    try:
        law(pad)
    finally:
        if law.__name__ != "closing_ends_everything":
            pad.launcher.close()

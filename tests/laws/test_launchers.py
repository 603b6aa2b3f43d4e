"""Every launcher keeps the same laws."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyflow.contract import Home
from pyflow.executors.docker.executor import images_for
from pyflow.executors.docker.launcher import DockerLauncher
from pyflow.executors.docker.place import Place
from pyflow.executors.docker.settings import DockerSettings
from pyflow.executors.driver import Job
from pyflow.executors.inprocess import InprocessLauncher
from pyflow.executors.interrupts import Interrupts
from pyflow.executors.local.launcher import PoolLauncher
from pyflow.executors.local.worker import Kind
from pyflow.images import has_engine, open_engine
from pyflow.packing import pack
from pyflow.runtime import open_home
from pyflow.scheduling import Capacity
from pyflow.secrecy import SecretFinder
from pyflow.testing import Pad, launcher_laws
from pyflow.testing.laws_launcher import body


def inprocess(content):
    return InprocessLauncher(content, Interrupts())


def local(content):
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return PoolLauncher(Kind("", str(Path.cwd()), environment), content, room=4)


def docker(home):
    """Makes launchers of containers for the graph that the laws run."""

    def make(content):
        packed = pack(body.trace(), content)
        job = Job(
            run_id="laws",
            graph=packed.graph,
            graph_digest=packed.digest,
            graph_size=packed.size_bytes,
            home=home,
            content=content,
            capacity=Capacity(cpus=2),
        )
        engine, settings = open_engine(), DockerSettings()
        images = images_for(packed.graph, engine, settings, tell=print)
        return DockerLauncher(Place(engine, job, settings, images, SecretFinder()))

    return make


@pytest.mark.parametrize("make_launcher", [inprocess, local])
@pytest.mark.parametrize("law", launcher_laws(), ids=lambda law: law.__name__)
def test_launcher_keeps_the_law(tmp_path, make_launcher, law):
    """What is launched ends, once, and is told."""
    home = Home(store_url=str(tmp_path / "store"), project="p", owner="o")
    keep(law, Pad(make_launcher, open_home(home), home, has_processes=make_launcher is local))


@pytest.mark.docker
@pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")
@pytest.mark.parametrize("law", launcher_laws(), ids=lambda law: law.__name__)
def test_containers_keep_the_law(tmp_path, law):
    """What is launched in containers ends, once, and is told."""
    home = Home(store_url=str(tmp_path / "store"), project="p", owner="o")
    keep(law, Pad(docker(home), open_home(home), home, has_processes=True))


def keep(law, pad):
    try:
        law(pad)
    finally:
        if law.__name__ != "closing_ends_everything":
            pad.launcher.close()

"""An engine that goes away while a run is under way."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from pathlib import Path

import pytest

from pyflow import container, errors, pipeline, task
from pyflow.images import has_engine, open_engine

SOCKET = "/var/run/docker.sock"
pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not has_engine() or not Path(SOCKET).exists(), reason=f"no Docker engine answers at {SOCKET}"),
]


class Relay:
    """Stands between a client and the engine, until it is cut."""

    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """From now on nobody answers."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.socket(socket.AF_UNIX)
                far.connect(SOCKET)
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


def test_an_engine_that_goes_away_is_told(tmp_path, monkeypatch):
    """What ran is lost, with the reason, and the run ends: nobody waits for an engine that is gone."""
    relay = Relay(f"{tmp_path}/e.sock")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/e.sock")

    @task
    def wait():
        print("waiting", flush=True)
        time.sleep(600)

    @pipeline
    def flow():
        return wait()

    run = flow.with_options(executor="docker", store=str(tmp_path / "store"), progress=False).submit()
    until = time.monotonic() + 60
    while not run.logs("wait"):
        assert time.monotonic() < until, "it did not start"
        time.sleep(0.1)
    relay.cut()
    try:
        assert run.wait(60) == "failed"
        with pytest.raises(errors.LostTaskError, match="the Docker engine did not answer"):
            run.result()
    finally:
        monkeypatch.delenv("DOCKER_HOST")
        engine = open_engine()
        for found in engine.api.containers(all=True, filters={"label": f"pyflow.run={run.id}"}):
            engine.api.remove_container(found["Id"], force=True)
        engine.close()


def sockets():
    """How many sockets this process has open."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("this system does not list open files")
    return sum(str(path.readlink()).startswith("socket:") for path in folder.iterdir() if path.is_symlink())


@container(image="busybox:1.36", stdout=True)
def say():
    return ["echo", "said"]


def test_a_run_that_does_not_follow_leaves_no_connection(tmp_path):
    """What was asked before a run is not held open for it: neither on ``docker`` nor for containers beside ``local``."""

    @pipeline
    def flow():
        return say()

    gc.collect()  # what tests before left to it
    before = sockets()
    for executor in ("docker", "local"):
        chosen = flow.with_options(executor=executor, store=str(tmp_path / executor), progress=False)
        prepared = chosen.prepare((), {})
        assert sockets() == before, executor
        prepared.carry_out()
        assert prepared.run.result() == "said\n"
        assert sockets() == before, executor

"""Both sides of a container task in a pod, with folders of this machine in the place of those that its containers share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pyflow import Volume, container, pipeline
from pyflow.artifacts import load
from pyflow.contract import Home, Invocation
from pyflow.packing import pack
from pyflow.runtime import Program, open_home, pod_container
from pyflow.runtime.pod_container import Collector, stage_in_pod


@container(image="img", outputs={"out": "/work/tiles"})
def tiles():
    return ["make", "tiles"]


@container(image="img", stdout=True)
def said():
    return ["say", "it"]


class Pod:
    """One attempt at one container task."""

    def __init__(self, folder: Path, work) -> None:
        @pipeline
        def flow():
            return work()

        self.shared, self.main = folder / "shared", folder / "main"
        for made in (self.shared, self.main):
            made.mkdir()
        home = Home(store_url=str(folder / "store"), project="p", owner="o")
        self.content = open_home(home)
        packed = pack(flow.trace(), self.content)
        self.program = Program(packed.graph, packed.digest)
        self.invocation = Invocation(
            home=home, run_id="r", graph_digest=packed.digest, graph_size=packed.size_bytes, node=0, nonce="collect"
        )

    def stage(self) -> None:
        assert stage_in_pod(self.invocation, self.program, self.content, "pod.stage") is None

    def collect(self, *, exit_code: int = 0, printed: bytes = b""):
        (self.main / "combined").write_bytes(printed)
        (self.main / "stdout").write_bytes(printed)
        (self.main / "exitcode").write_text(str(exit_code))
        return Collector(self.invocation, self.program, self.content, lambda: False).run()


@pytest.fixture
def pod(tmp_path, monkeypatch):
    def made(work) -> Pod:
        pod = Pod(tmp_path, work)
        monkeypatch.setattr(pod_container, "SHARED", str(pod.shared))
        monkeypatch.setattr(pod_container, "_STAGED", f"{pod.shared}/staged.json")
        monkeypatch.setattr(pod_container, "_MAIN", pod.main)
        return pod

    before = signal.getsignal(signal.SIGTERM)
    yield made
    signal.signal(signal.SIGTERM, before)


def test_the_log_has_the_name_that_was_told_at_the_start(pod):
    """Who follows a task that runs knows its log by the name that was told before the author's container began."""
    here = pod(said)
    here.stage()
    outcome = here.collect(printed=b"one\n")
    assert outcome.log == ("pod.stage", 0, 4)
    key = here.content.keys.log("r", "pod.stage")
    assert bytes(here.content.blobs.read_log(key)) == b"one\n"


def test_nobody_else_may_write_to_what_is_kept(pod):
    """Argo's emissary leaves no umask: what a program makes is everybody's to change there, and nowhere else."""
    here = pod(tiles)
    here.stage()
    folder = here.shared / "d2" / "tiles"
    (folder / "sub").mkdir(parents=True)
    (folder / "program").write_text("x")
    (folder / "private").write_text("x")
    (folder / "link").symlink_to("program")
    for path, mode in (
        (folder, 0o777),
        (folder / "sub", 0o777),
        (folder / "program", 0o777),
        (folder / "private", 0o600),
    ):
        path.chmod(mode)
    value = load(here.collect().result, here.content)
    found = {
        path.name: oct(path.stat().st_mode & 0o777)
        for path in (value, value / "sub", value / "program", value / "private")
    }
    assert found == {"tiles": "0o755", "sub": "0o755", "program": "0o755", "private": "0o600"}


@container(image="img", outputs={"out": "/work/deep/out.txt"}, volumes={"/work": Volume.scratch("1Gi")})
def big():
    return ["make", "it"]


def test_outputs_in_a_scratch_volume_are_looked_for_there(pod):
    """Both sides know a scratch volume by one name, and the folder in it is open to whoever the image runs as."""
    here = pod(big)
    (here.shared / "v0").mkdir()
    here.stage()
    folder = here.shared / "v0" / "deep"
    assert folder.stat().st_mode & 0o777 == 0o777
    (folder / "out.txt").write_text("made")
    assert load(here.collect().result, here.content).read_text() == "made"


def test_what_cannot_be_kept_is_called_as_its_author_does(pod):
    """A message names a path of the author's container, and none of pyflow's."""
    here = pod(tiles)
    here.stage()
    folder = here.shared / "d2" / "tiles"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    outcome = here.collect()
    assert "hands over the folder '/work/tiles', in which 'pipe' is neither" in outcome.error.message
    assert str(here.shared) not in outcome.error.traceback

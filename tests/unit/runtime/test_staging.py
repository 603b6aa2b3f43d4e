"""Container tasks before and after their container runs: the command, the files, what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyflow import container, pipeline, task
from pyflow.artifacts import load
from pyflow.contract import Home, Invocation
from pyflow.errors import DefinitionError, IntegrityError
from pyflow.packing import pack
from pyflow.runtime import Program, Session, Spool, open_home
from pyflow.runtime.staging import (
    INPUTS,
    ContainerEnd,
    collect,
    committed_outcome,
    followed,
    move_into,
    not_staged,
    parents_of,
    stage,
)


@task
def number():
    return 7


@task
def table():
    path = Path("table.csv")
    path.write_text("a,b\n")
    return path


@task
def many():
    return [1, 2]


@container(image="img", inputs={"fixed": "/data/fixed.csv"}, outputs={"a": "/out/a.txt", "b": "/tmp/deep/b"})
def work(n, fixed: Path, free: Path, more):
    return ["work", f"--n={n}", fixed, f"{free}!", more, "plain"]


@container(image="img", stdout=True)
def say(what):
    return ["echo", what]


@container(image="img")
def nothing():
    return ["true"]


@pipeline
def flow():
    path = table()
    return work(number(), path, path, path), say("hi"), say(many()), say("a\0b"), nothing()


class Place:
    def __init__(self, folder):
        self.home = Home(store_url=str(folder / "store"), project="p", owner="o")
        self.content = open_home(self.home)
        self.packed = pack(flow.trace(), self.content)
        self.program = Program(self.packed.graph, self.packed.digest)
        self.folder = folder / "staged"
        self.folder.mkdir()
        session = folder / "session"
        session.mkdir()
        runner = Session(session, Spool(session / "spool"), "w1")
        for name in ("number", "table", "many"):
            assert runner.run(self.invocation(name)).is_committed

    def invocation(self, name):
        (node,) = [node.id for node in self.packed.graph.walk() if node.name == name]
        return Invocation(
            home=self.home,
            run_id="r",
            graph_digest=self.packed.digest,
            graph_size=self.packed.size_bytes,
            node=node,
        )

    def stage(self, name):
        return stage(self.invocation(name), self.program, self.content, self.folder)

    def collect(self, name, staged, end):
        return collect(self.invocation(name), self.program, self.content, staged, end)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path)


def test_values_and_files_are_put_into_the_command(place):
    """Numbers become text, files lie where the author said or below one folder, each a copy of its own."""
    staged = place.stage("work")
    free = f"{INPUTS}/free/table.csv"
    assert staged.argv[:4] == ["work", "--n=7", "/data/fixed.csv", f"{free}!"]
    assert staged.argv[5] == "plain"
    by_path = {where: host for host, where in staged.inputs}
    assert set(by_path) == {"/data/fixed.csv", free}
    assert {host.read_text() for host in by_path.values()} == {"a,b\n"}
    assert staged.image == "img"
    assert list(parents_of(staged)) == ["/out", "/tmp/deep"]


def test_several_outputs_are_parts_by_name(place):
    """What lies at the outputs' places is kept under their names, with the names that the files have."""
    staged = place.stage("work")
    by_name = {name: host for name, _, host in staged.outputs}
    by_name["a"].write_text("A")
    by_name["b"].mkdir()
    (by_name["b"] / "inner").write_text("B")
    outcome = place.collect("work", staged, ContainerEnd(exit_code=0))
    assert outcome.is_committed
    value = load(outcome.result, place.content)
    assert value["a"].name == "a.txt"
    assert (value["b"] / "inner").read_text() == "B"
    assert committed_outcome(place.invocation("work"), place.content) == outcome


def test_an_output_that_is_missing_is_named(place):
    """A container that ends well without its outputs has failed, and is told which."""
    staged = place.stage("work")
    staged.outputs[0][2].write_text("A")
    outcome = place.collect("work", staged, ContainerEnd(exit_code=0))
    assert outcome.exit_code == 70
    assert "left nothing of what it is to keep: 'b' at /tmp/deep/b" in outcome.error.message


def test_standard_output_is_a_text(place):
    """With stdout=True the result is what was written, to the letter."""
    outcome = place.collect("say", place.stage("say"), ContainerEnd(exit_code=0, stdout=b"hi\n"))
    assert outcome.result == {"json": "hi\n"}
    assert place.collect("nothing", place.stage("nothing"), ContainerEnd(exit_code=0)).result == {"json": None}


def test_standard_output_that_is_no_text_is_refused(place):
    """Nothing is put in the place of bytes that are no UTF-8: the task fails, for good, and is told what works."""
    outcome = place.collect("say", place.stage("say"), ContainerEnd(exit_code=0, stdout=b"a\xff\0"))
    assert outcome.exit_code == 71
    assert (
        "no text in UTF-8: byte 1 of 3 is 0xff. Let it write a file, and keep that by outputs=" in outcome.error.message
    )


def test_a_failure_tells_code_and_last_words(place):
    """An exit code other than 0 is the task's failure, and may be tried again."""
    end = ContainerEnd(exit_code=3, last_words=b"no such thing\n")
    outcome = place.collect("say", place.stage("say"), end)
    assert outcome.exit_code == 70
    assert outcome.error.message == "The container of 'say' exited with code 3.\nIt printed last:\n  no such thing"
    assert "called at " in outcome.error.traceback


@pytest.mark.parametrize(("name", "what"), [("say-2", r"has \[1, 2\] \(list\) in its"), ("say-3", "NUL")])
def test_what_no_command_can_hold_is_refused(place, name, what):
    """A value that is neither text nor number nor file is named, with a way out."""
    with pytest.raises(DefinitionError, match=what) as caught:
        place.stage(name)
    outcome = not_staged(place.invocation(name), caught.value, place.program, place.content)
    assert outcome.exit_code == 71


def test_another_kind_of_node_is_refused(place):
    """Only container tasks are run as containers."""
    with pytest.raises(IntegrityError, match="not a container task"):
        place.stage("number")


def test_links_are_followed_as_the_container_would(tmp_path):
    """A path in a container leads on by what lies in it, whatever lies under that path here; without end it leads nowhere."""

    def on_host(path):
        return tmp_path / path[len("/work") :].lstrip("/") if path == "/work" or path.startswith("/work/") else None

    for name, leads_to in {
        "out": "/etc/passwd", "up": "../etc/passwd", "near": "real", "absolute": "/work/real", "above": "/outside", "chain": "near",
        "round": "about", "about": "/work/round", "dots": "sub/../../work/real",
    }.items():  # fmt: skip
        (tmp_path / name).symlink_to(leads_to)
    (tmp_path / "sub").mkdir()
    found = {
        name: followed(f"/work/{name}", on_host)
        for name in ("out", "up", "near", "absolute", "above/x", "chain", "real", "dots", "sub/x")
    }
    assert found == {
        "out": "/etc/passwd", "up": "/etc/passwd", "near": "/work/real", "absolute": "/work/real", "above/x": "/outside/x",
        "chain": "/work/real", "real": "/work/real", "dots": "/work/real", "sub/x": "/work/sub/x",
    }  # fmt: skip
    with pytest.raises(IntegrityError, match="without end"):
        followed("/work/round", on_host)


def test_a_folder_is_added_to_one_that_is_there(tmp_path):
    """What lies there stays, what comes is added; a file never takes the place of a folder."""
    for path in ("there/sub/a", "there/b", "comes/sub/c", "comes/d/e"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "comes" / "link").symlink_to("sub")
    move_into(tmp_path / "comes", tmp_path / "there")
    found = sorted(str(path.relative_to(tmp_path / "there")) for path in (tmp_path / "there").rglob("*"))
    assert found == ["b", "d", "d/e", "link", "sub", "sub/a", "sub/c"]
    assert (tmp_path / "there" / "link").is_symlink()
    (tmp_path / "file").touch()
    with pytest.raises(DefinitionError, match="'file' is a file, and at its place 'there' lies a folder"):
        move_into(tmp_path / "file", tmp_path / "there")

"""Runtime images on a real engine: on which base, by whose registry, and what the command line says of them."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from registry import registry

from pyflow import container, errors, pipeline, task
from pyflow.cli import cli
from pyflow.images import default_base, ensure_runtime_image, has_engine, open_engine, runtime_archive, runtime_tag

pytestmark = [pytest.mark.docker, pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")]
SMALL = "busybox:1.36"


@pytest.fixture
def engine():
    """An engine, from which what the test has named is removed again."""
    found = open_engine()
    yield found
    names = {tag for image in found.api.images() for tag in image.get("RepoTags") or [] if "pyflow-test" in tag}
    for name in names:
        found.api.remove_image(name, force=True)
    found.close()


def command(*words):
    return CliRunner().invoke(cli, ["image", *words], prog_name="pyflow")


def labelled(engine, tag, base):
    """A small image with the labels of a runtime image, as one of a site might be."""
    dockerfile = f'FROM {SMALL}\nLABEL pyflow.runtime="{runtime_archive().digest}" pyflow.base="{base}"\n'
    for line in engine.api.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, decode=True):
        assert "error" not in line, line
    return engine.api.inspect_image(tag)["Id"]


def test_an_image_on_another_base_is_not_taken_for_the_usual_one(engine):
    """What was built on a base serves runs that name this base, and no others."""
    usual = ensure_runtime_image(engine)
    base = f"pyflow-test-base:{uuid4().hex[:8]}"
    engine.api.tag(default_base(), *base.split(":"))
    told = command("build", "--base", base, "--tag", "pyflow-test-built:1")
    assert told.exit_code == 0, told.output
    assert told.stdout == "pyflow-test-built:1\n"
    assert f'Runs take it where  base = "{base}"  stands in [tool.pyflow.docker].' in told.stderr
    built = engine.api.inspect_image("pyflow-test-built:1")["Id"]
    assert built != usual
    assert ensure_runtime_image(engine, base=base) == built
    assert ensure_runtime_image(engine) == usual
    listed = command("ls").stdout
    assert [line.split()[:3] for line in listed.splitlines() if "pyflow-test-built" in line] == [
        ["*", "pyflow-test-built:1", base]
    ]


def test_an_image_whose_name_was_taken_gets_it_back(engine):
    """A build on another base takes the name; the next run gives it back, so that a clean-up of nameless images spares it."""
    usual = ensure_runtime_image(engine)
    images = {}
    try:
        for base in (f"pyflow-test-base:{uuid4().hex[:8]}" for _ in range(2)):
            images[base] = labelled(engine, "pyflow-test-taken:1", base)
            engine.api.tag(SMALL, "pyflow-test-taken", "1")
        one, other = images
        for base in (one, other, one):
            assert ensure_runtime_image(engine, base=base) == images[base]
            assert engine.api.inspect_image(runtime_tag())["Id"] == images[base]
    finally:
        engine.api.tag(usual, *runtime_tag().rsplit(":", 1))
        for image in images.values():
            engine.api.remove_image(image, force=True)


def test_a_base_with_another_python_is_told(engine):
    """The build ends with what it found, and says how to name another base."""
    base = "pyflow-test-base:other"
    dockerfile = f'FROM {default_base()}\nRUN ["sh", "-c", "printf \'#!/bin/sh\\necho no; exit 3\\n\' > /usr/local/bin/python3"]\n'
    for line in engine.api.build(fileobj=io.BytesIO(dockerfile.encode()), tag=base, rm=True, decode=True):
        assert "error" not in line, line
    with pytest.raises(errors.ExecutorError, match=r'could not be built on pyflow-test-base:other.*base = "IMAGE"'):
        ensure_runtime_image(engine, base=base)


def test_what_the_base_finds_by_its_own_path_is_found(engine, tmp_path, monkeypatch):
    """A site's base may lead to its packages by ``PYTHONPATH``: they come behind pyflow, and are not lost."""
    base = f"pyflow-test-base:{uuid4().hex[:8]}"
    dockerfile = (
        f"FROM {default_base()}\nRUN mkdir /site && echo 'FIRST = 7' > /site/sitelib.py\nENV PYTHONPATH=/site\n"
    )
    for line in engine.api.build(fileobj=io.BytesIO(dockerfile.encode()), tag=base, rm=True, decode=True):
        assert "error" not in line, line
    (tmp_path / "pyproject.toml").write_text(f'[tool.pyflow.docker]\nbase = "{base}"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    @task
    def first():
        import sitelib

        return sitelib.FIRST, os.environ["PYTHONPATH"]

    @pipeline
    def flow():
        return first()

    usual = ensure_runtime_image(engine)
    try:
        chosen = flow.with_options(executor="docker", store=str(tmp_path / "store"), progress=False)
        assert chosen() == (7, "/opt/pyflow:/site")
        engine.api.remove_image(ensure_runtime_image(engine, base=base), force=True)
    finally:
        engine.api.tag(usual, *runtime_tag().rsplit(":", 1))


def test_links_of_an_image_do_not_lead_inputs_to_this_machine(engine, tmp_path):
    """A folder of the image is copied for the outputs in it; an input that lies below a link in there goes where the container has it."""
    image = f"pyflow-test-linked:{uuid4().hex[:8]}"
    (tmp_path / "here").mkdir()
    dockerfile = f"FROM {SMALL}\nRUN mkdir /work && ln -s {tmp_path}/here /work/x\n"
    for line in engine.api.build(fileobj=io.BytesIO(dockerfile.encode()), tag=image, rm=True, decode=True):
        assert "error" not in line, line

    @task
    def written() -> Path:
        Path("words.txt").write_text("as they are")
        return Path("words.txt")

    @container(image=image, inputs={"words": "/work/x/words.txt"}, outputs={"out": "/work/out.txt"})
    def copied(words):
        return ["cp", "/work/x/words.txt", "/work/out.txt"]

    @task
    def read(file: Path):
        return file.read_text()

    @pipeline
    def flow():
        return read(copied(written()))

    chosen = flow.with_options(executor="docker", store=str(tmp_path / "store"), progress=False)
    assert chosen() == "as they are"
    assert list((tmp_path / "here").iterdir()) == []


def test_a_registry_takes_images_and_gives_them(engine, tmp_path):
    """An image is pushed by the command line, and whoever misses it gets it from there: the runtime's, and a container task's."""
    said = []
    with registry() as host:
        site = f"{host}/pyflow-test"
        pushed = labelled(engine, runtime_tag(registry=site), "the-sites:1")
        engine.api.tag(SMALL, f"{site}/tool", "1")
        for told in (command("push", "--registry", site), command("push", "--tag", f"{site}/tool:1")):
            assert told.exit_code == 0, told.output
        for name in (runtime_tag(registry=site), f"{site}/tool:1"):
            engine.api.remove_image(name, force=True)

        assert ensure_runtime_image(engine, registry=site, tell=said.append) == pushed
        assert not [line for line in said if line.startswith("Building")]
        assert ensure_runtime_image(engine) != pushed

        @container(image=f"{site}/tool:1", stdout=True)
        def say():
            return ["echo", "pulled"]

        @pipeline
        def flow():
            return say()

        chosen = flow.with_options(executor="docker", store=str(tmp_path / "store"), progress=False)
        assert chosen() == "pulled\n"


def test_a_registry_that_does_not_answer_is_told(engine):
    """A push fails with what Docker says; without a registry there is nowhere to push to."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        site = f"127.0.0.1:{closed.getsockname()[1]}/pyflow-test"
        engine.api.tag(SMALL, f"{site}/tool", "1")
        told = command("push", "--tag", f"{site}/tool:1")
    assert told.exit_code != 0
    assert "could not be pushed" in told.output
    assert "refused" in told.output
    nowhere = command("push")
    assert nowhere.exit_code != 0
    assert "--registry PREFIX" in nowhere.output

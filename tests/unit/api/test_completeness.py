"""A run that leaves this machine is looked at first: what its functions would miss there is said here."""

from __future__ import annotations

import contextlib
import importlib
import sys
import types

import pytest
from servers import BUCKET

from pyflow import Volume, errors, pipeline, task
from pyflow.api import completeness
from pyflow.bundle import discover
from pyflow.executors.argo import executor as argo_executor
from pyflow.store import open_blobs


@task
def haunted(x):
    import ghost  # made by the fixture, and by nobody elsewhere

    return ghost.of(x)


@task
def plain(x):
    return x + 1


@pipeline
def spooky():
    return haunted(plain(1))


@pipeline
def sound():
    return plain(1)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, moto, tmp_path):
    moto.enter(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(argo_executor, "open_cluster", lambda _settings: None)
    ghost = types.ModuleType("ghost")
    ghost.of = lambda x: x  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ghost", ghost)


def bare(chosen, name, **argo):
    return chosen.with_options(store=f"s3://{BUCKET}/{name}", argo={"trust_bucket": True, **argo}, progress=False)


def on_a_cluster(chosen, name):
    return bare(chosen, name, image="team/science:3")


def test_a_module_that_would_be_missing_is_named_before_anything_is_sent():
    """With the function and its line; the store has not been written to."""
    with pytest.raises(
        errors.DefinitionError, match=r"'spooky' is not complete.*\n  haunted\(\) needs the module 'ghost'"
    ) as caught:
        on_a_cluster(spooky, "haunted").compile()
    assert f"test_completeness.py:{haunted.fn.__code__.co_firstlineno + 2}" in str(caught.value)
    assert list(open_blobs(f"s3://{BUCKET}/haunted").list("v1")) == []


def test_what_was_found_complete_is_not_loaded_again(monkeypatch):
    """The same code in the same environment; other code is looked at anew."""
    looked_at = []
    find = completeness.find_faults
    monkeypatch.setattr(completeness, "find_faults", lambda uses, *rest: looked_at.append(uses) or find(uses, *rest))
    for _ in range(2):
        on_a_cluster(sound, "sound").compile()
    assert len(looked_at) == 1
    with pytest.raises(errors.DefinitionError, match="ghost"):
        on_a_cluster(spooky, "sound").compile()
    with pytest.raises(errors.DefinitionError, match="ghost"):
        on_a_cluster(spooky, "sound").compile()
    assert len(looked_at) == 3


def test_a_run_that_stays_here_is_not_looked_at():
    """It sees all that the caller sees, on the executor that runs in its process."""
    assert spooky.with_options(executor="inprocess")() == 2


def test_packages_that_are_named_by_a_file_are_looked_at_anew_when_it_changes(monkeypatch, tmp_path):
    """The option says the same, and the file another thing."""
    wanted = tmp_path / "requirements.txt"
    asking = plain.with_options(packages=str(wanted))

    @pipeline
    def listed():
        return asking(1)

    keys = []
    for text in ("numpy==1.26.4", "numpy==1.26.4", "numpy==2.0.0"):
        wanted.write_text(text)
        graph = listed.trace()
        keys.append(completeness._key_of(completeness.functions_in(graph), discover([plain.fn]), lambda _: None))
    assert keys[0] == keys[1] != keys[2]


INSTALLED_HERE = """
from pyflow import pipeline, task

@task
def drawn(x):
    import hypothesis  # installed here, and in no image of Python

    return hypothesis.__version__, x

@task
def carried():
    import boto3
    import cloudpickle

    return boto3.__name__, cloudpickle.__name__

@pipeline
def installed_here():
    return drawn(1)

@pipeline
def brought():
    return carried()

@task(packages=["six"])
def by_packages():
    import nowhere_but_in_the_image

    return nowhere_but_in_the_image.value

@pipeline
def lacking():
    return by_packages()
"""


@pytest.fixture
def flows(tmp_path, monkeypatch):
    """Tasks in a file of their own: this one imports what no image of Python has."""
    (tmp_path / "flows.py").write_text(INSTALLED_HERE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "flows", raising=False)
    return importlib.import_module("flows")


@pytest.mark.parametrize(
    "image", [None, "python:3.12-slim", "docker.io/library/python:3.11", f"python:3.11@sha256:{'0' * 64}"]
)
def test_what_an_image_of_python_does_not_have_is_named_before_anything_is_sent(flows, image):
    """Nothing is installed there, so what works here would end in a pod; the message says what would bring it."""
    site = {} if image is None else {"image": image}
    with pytest.raises(errors.DefinitionError, match=r"drawn\(\) needs the module 'hypothesis'") as caught:
        bare(flows.installed_here, "bare", **site).compile()
    named = image or "python:{}.{}-slim".format(*sys.version_info)
    assert f'Its image {named!r} has Python and nothing else: packages="auto" brings what is installed here' in str(
        caught.value
    )
    assert "packages=['hypothesis']" in str(caught.value)
    assert f"flows.py:{flows.drawn.fn.__code__.co_firstlineno + 2}" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"image": "team/science:3"},
        {"image": "registry.example.org/python:3.11"},
        {"env": {"PYTHONPATH": "/mnt/packages"}},
        {"volumes": {"/mnt/packages": Volume.named("packages")}},
        {"pod_patch": {"nodeName": "n"}},
    ],
    ids=lambda options: next(iter(options)),
)
def test_where_more_may_be_installed_nobody_is_refused(flows, options):
    """An image of somebody's own, a volume or a variable may bring the module: who runs it will see."""
    task = flows.drawn.with_options(**options)

    @pipeline
    def elsewhere():
        return task(1)

    assert bare(elsewhere, "elsewhere").compile()["kind"] == "Workflow"


def test_what_pyflow_brings_along_is_there(flows):
    """Its own dependencies come with it into every image."""
    assert bare(flows.brought, "brought").compile()["kind"] == "Workflow"


@task
def by_the_image():
    import nowhere_but_in_the_image

    return nowhere_but_in_the_image.value


def test_what_only_the_sites_image_has_is_left_to_it():
    """A module that nobody has here is looked for where the task runs."""

    @pipeline
    def flow():
        return by_the_image()

    assert on_a_cluster(flow, "sites").compile()["kind"] == "Workflow"
    assert bare(flow, "registrys", registry="registry.example/team").compile()["kind"] == "Workflow"


def test_packages_on_the_stock_image_have_to_bring_all(flows, monkeypatch, tmp_path):
    """That image has nothing more; the site's own may have."""
    (tmp_path / "packages").mkdir()
    monkeypatch.setattr(completeness, "installed_aside", lambda *_, **__: contextlib.nullcontext(tmp_path / "packages"))
    with pytest.raises(errors.DefinitionError, match=r"nowhere_but_in_the_image.*Its packages= do not bring it"):
        bare(flows.lacking, "stock").compile()

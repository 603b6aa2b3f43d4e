"""A run that leaves this machine is looked at first: what its functions would miss there is said here."""

from __future__ import annotations

import sys
import types

import pytest
from servers import BUCKET

from pyflow import errors, pipeline, task
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


def on_a_cluster(chosen, name):
    return chosen.with_options(store=f"s3://{BUCKET}/{name}", argo={"trust_bucket": True}, progress=False)


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
        keys.append(completeness._key_of(completeness.functions_in(graph), discover([plain.fn])))
    assert keys[0] == keys[1] != keys[2]

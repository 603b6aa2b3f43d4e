"""``gc``, ``store check`` and ``store copy`` as a person calls them."""

from __future__ import annotations

import json
import uuid

import pytest
from click.testing import CliRunner
from faults.proxy import FaultProxy, Plan
from servers import BUCKET, running_proxy
from unit.upkeep.conftest import measure, run

from pyflow.cli import cli


def pyflow(*words: str):
    """Call the command; its exit code, and what it printed on both streams."""
    done = CliRunner().invoke(cli, list(words))
    return done.exit_code, done.output


def test_gc_says_and_with_yes_does():
    """The dry run names what goes and that nothing went; ``--yes`` removes the same."""
    old, new = run(measure, 20_000, "a"), run(measure, 30_000, "a")
    code, said = pyflow("gc", "--keep-last", "1", "--no-grace")
    assert (code, f"would remove run {old.id}" in said, "Nothing was removed; --yes does it." in said) == (
        0,
        True,
        True,
    )
    code, said = pyflow("gc", "--keep-last", "1", "--no-grace", "--yes", "--json")
    told = json.loads(said)
    assert (code, told["removed"], told["runs"], told["run_count"]) == (0, True, [old.id], 1)
    assert pyflow("ls", "--json")[1].count('"id"') == 1
    assert pyflow("result", new.id, "large")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grace", "1h"], "must be 48h or more"),
        (["--older-than", "soon"], "12h, 30d, 4w"),
        (["--remove", "nobody"], "no run 'nobody'"),
    ],
)
def test_wrong_usage_of_gc_is_told(words, said):
    """What cannot be is refused with what would do, and with the code of wrong usage."""
    run(measure, 1, "a")
    code, output = pyflow("gc", *words)
    assert (code, said in output) == (2, True), output


def test_copy_and_back(tmp_path):
    """A run is copied by name, all of them without; a second time it is said that all is there."""
    done = run(measure, 20_000, "a")
    there = str(tmp_path / "there")
    code, said = pyflow("store", "copy", ".pyflow", there, done.id)
    assert (code, f"{done.id}: 2 results" in said) == (0, True)
    code, said = pyflow("store", "copy", ".pyflow", there)
    assert (code, "0 blobs" in said, "were there" in said) == (0, True, True)
    assert pyflow("result", done.id, "--store", there) == (0, "20001\n")
    assert pyflow("store", "copy", there, there)[0] == 2
    assert pyflow("store", "copy", there, str(tmp_path / "more"), "nobody")[0] == 2


@pytest.mark.parametrize("server", ["moto", "seaweed"])
def test_a_good_bucket_is_good(request, monkeypatch, server):
    """A store that can do all says so, in words and as JSON, and the command ends with 0."""
    request.getfixturevalue(server).enter(monkeypatch)
    code, said = pyflow("store", "check", f"s3://{BUCKET}/{uuid.uuid4().hex}", "--json")
    told = json.loads(said)
    assert (code, told["ok"]) == (0, True), said
    assert {check["name"] for check in told["checks"]} >= {
        "create-only",
        "create race",
        "ranges",
        "list after write",
        "parts",
    }


def test_a_folder_is_good(tmp_path):
    """So does a folder, and nothing of the trial is left in it."""
    code, said = pyflow("store", "check", str(tmp_path / "new"))
    assert (code, "It can do all that pyflow needs." in said) == (0, True)
    assert [path.name for path in (tmp_path / "new").iterdir() if not path.name.startswith(".")] == [
        "pyflow-store.json"
    ]


def test_a_store_that_ignores_create_only_is_told(deaf, monkeypatch):
    """It ends with 1, says which promise falls, and who keeps it all the same."""
    deaf.enter(monkeypatch)
    code, said = pyflow("store", "check", f"s3://{BUCKET}/{uuid.uuid4().hex}")
    assert code == 1
    assert "✗ create-only" in said
    assert "inprocess, local" in said
    assert "'argo' does not take this store" in said


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("denied", "s3:GetObject"),
        ("no bucket", "make the bucket"),
        ("unknown key", "AWS_ACCESS_KEY_ID"),
        ("clock", "Set this machine's clock"),
    ],
)
def test_what_cannot_heal_is_told_at_once(moto, monkeypatch, kind, advice):
    """Access denied, no such bucket, unknown keys, a clock that is off: one line with the fix, and code 3."""
    plan = Plan()
    with running_proxy(moto, type("Refusing", (FaultProxy,), {"plan": plan})) as server:
        server.enter(monkeypatch)
        plan.arm("get", 1, kind, times=1000)
        code, said = pyflow("store", "check", f"s3://{BUCKET}/{uuid.uuid4().hex}")
    assert (code, advice in said) == (3, True), said
    assert sum(plan.fired.values()) == 1

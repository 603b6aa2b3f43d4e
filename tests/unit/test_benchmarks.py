"""The benchmarks without measuring: ratios of given numbers, what is written and drawn, peers that cannot be had."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch):
    """Imports a script of the benchmarks by its name, and forgets it with all that it has imported beside it."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(BENCHMARKS)):
            del sys.modules[name]


class Peer:
    """A peer that says of each round that it took so long; ``value`` is what it found instead of what is right."""

    def __init__(self, scripts, workload, seconds, value=None):
        self._reply = scripts("processes").Reply
        self._workload, self._seconds, self._value = workload, iter(seconds), value

    def ask(self, request, size, seed):
        right = self._workload.expected(size, seed)
        return self._reply(next(self._seconds), right if self._value is None else self._value)


@pytest.fixture
def workloads(scripts):
    """The plan of the process pool, and one workload whose time is that of a task and one whose time is that of the whole."""
    module = scripts("workloads")
    chain, array = (next(one for one in module.WORKLOADS if one.name == name) for name in ("chain", "array"))
    return module.PEERS[0], chain, replace(array, size=8)


@pytest.fixture
def figures(scripts, workloads):
    """Figures of rounds in which pyflow took once half of the peer's time, and once three times as long."""
    plan, chain, array = workloads
    compare = scripts("compare").compare
    return [
        *compare(Peer(scripts, chain, [9, 1, 2, 3]), Peer(scripts, chain, [9, 2, 4, 9]), plan, chain, 3),
        *compare(Peer(scripts, array, [9, 6, 6]), Peer(scripts, array, [9, 2, 2]), plan, array, 2),
    ]


def test_ratios_are_of_medians_behind_a_first_round(scripts, figures):
    """The first round does not count; a limit is reached or missed, and both numbers stand beside the ratio."""
    report = scripts("report")
    chain, array = figures
    assert (chain.value, chain.limit, chain.reached) == (0.5, 2.0, True)
    assert (chain.details["pyflow"], chain.details["peer"], chain.details["of_unit"]) == (40_000, 80_000, "µs a task")
    assert (array.value, array.limit, array.reached) == (3.0, 2.0, False)
    assert " ".join(report.row(chain).split()).endswith(" 0.5 × ≤ 2 reached 4e+04 / 8e+04 µs a task")
    assert report.summary(figures) == "1 of 2 limits reached, 0 not measured."


def test_a_wrong_value_is_no_number(scripts, workloads):
    """A peer that is quick and wrong has no ratio, and the note says what it gave."""
    plan, chain, _ = workloads
    wrong = Peer(scripts, chain, [1, 1], value="other")
    [figure] = scripts("compare").compare(Peer(scripts, chain, [1, 1]), wrong, plan, chain, 1)
    assert (figure.value, figure.reached) == (None, None)
    assert figure.note.startswith("process pool: chain of 50 gave 'other' instead of ")


def test_results_are_written_and_drawn(scripts, figures, tmp_path):
    """One JSON document, and a picture of the ratios in it."""
    results, picture = tmp_path / "results.json", tmp_path / "results.png"
    scripts("report").write(results, figures, versions={"pool": "3"}, skipped={"ray": "uv: no network"}, seconds=1.23)
    document = json.loads(results.read_text())
    assert [(figure["peer"], figure["value"], figure["reached"]) for figure in document["figures"]] == [
        ("process pool", 0.5, True), ("process pool", 3.0, False),
    ]  # fmt: skip
    assert (document["took_s"], document["skipped"]) == (1.2, {"ray": "uv: no network"})
    plot = scripts("plot")
    bars = [bar for panel in plot.panels(document["figures"]).values() for bar in panel]
    assert [bar.text for bar in bars] == ["0.5×   40 ms against 80 ms", "3×   6 s against 2 s"]
    plot.draw(document, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_peer_that_cannot_be_installed_is_skipped_with_a_word(scripts, tmp_path, monkeypatch, capsys):
    """The others go on, and the results say what the installer said."""
    run = scripts("run")
    peers = tmp_path / "peers"
    peers.mkdir()
    (peers / "pyflow_peer.py").symlink_to(BENCHMARKS / "peers/pyflow_peer.py")
    (peers / "gone_peer.py").write_text(f'# dependencies = ["gone @ {(tmp_path / "gone").as_uri()}"]\n')
    monkeypatch.setattr(run, "HERE", tmp_path)
    session = run.Session(pythons={}, works=frozenset(), rounds=1, logs=tmp_path)
    options = argparse.Namespace(peers=["gone"], pyflow_python=Path(sys.executable))
    run.make_environments(session, scripts("environments").Environments(tmp_path / "envs"), options)
    assert (list(session.pythons), list(session.skipped)) == (["pyflow"], ["gone"])
    assert "gone" in session.skipped["gone"]
    assert capsys.readouterr().out == f"skipped gone: {session.skipped['gone']}\n"

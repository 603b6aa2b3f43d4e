#!/usr/bin/env python3
"""Measure pyflow beside its peers and say which of its limits it keeps.

    python benchmarks/run.py                        # about a quarter of an hour on two cores
    python benchmarks/run.py --quick                # about three minutes
    python benchmarks/run.py --only chain,fan --peers pool,loky

Every peer gets a virtual environment of its own; one that cannot be had is skipped with a word. Results go to the
terminal, and as `results.json` and `results.png` to the folder that `--out` names. Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import alone
import cold
import report
from compare import compare
from environments import Environments, NotInstalledError
from figures import Figure
from processes import Peer, PeerError
from workloads import PEERS, WORKLOADS, PeerPlan

HERE = Path(__file__).resolve().parent
ALONE = ("import", "array-memory", "scaling", "trace-and-pack")
QUICK_WITHOUT = frozenset({"fan-10000"})
WORKS = ("hello", *(workload.name for workload in WORKLOADS), *ALONE)


@dataclass
class Session:
    """One run of the benchmarks: where things are, and what has been found so far."""

    pythons: dict[str, Path]
    works: frozenset[str]
    rounds: int
    logs: Path
    figures: list[Figure] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def start(self, name: str) -> Peer:
        """A new process of a peer."""
        peer = Peer(self.pythons[name], HERE / "peers" / f"{name}_peer.py", log=self.logs / f"{name}.log")
        self.versions[name] = peer.version
        return peer

    def add(self, figures: Iterable[Figure]) -> None:
        """Keep figures and show each as it comes."""
        for figure in figures:
            self.figures.append(figure)
            print(report.row(figure), flush=True)

    @contextmanager
    def skipping(self, name: str) -> Iterator[None]:
        """Where something cannot be measured, say so and go on."""
        try:
            yield
        except (PeerError, NotInstalledError) as error:
            self.skipped[name] = str(error)
            print(f"skipped {name}: {error}", flush=True)


def main() -> int:
    """Measure what the command line asks for; 1 when a limit was missed."""
    options = command_line()
    began = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    session = Session(
        pythons={},
        works=frozenset(options.only) - (QUICK_WITHOUT if options.quick else frozenset()),
        rounds=2 if options.quick else options.repeat,
        logs=options.out,
    )
    environments = Environments(options.envs.expanduser())
    make_environments(session, environments, options)
    plans = [plan for plan in PEERS if plan.name in session.pythons]
    for plan in plans:
        beside(session, plan)
    by_itself(session, plans)
    print(report.summary(session.figures))
    results = options.out / "results.json"
    report.write(
        results,
        session.figures,
        versions=session.versions,
        skipped=session.skipped,
        seconds=time.monotonic() - began,
    )
    print(results, flush=True)
    draw(session, environments, results)
    return int(any(figure.reached is False for figure in session.figures))


def command_line() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    peers = [plan.name for plan in PEERS]
    parser.add_argument("--only", type=names(WORKS), default=WORKS, help=f"of {', '.join(WORKS)}")
    parser.add_argument("--peers", type=names(peers), default=peers, help=f"of {', '.join(peers)}")
    parser.add_argument("--repeat", type=int, default=15, help="rounds at most (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two rounds, and only scaling with 10,000 tasks")
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"), help="folder for results")
    parser.add_argument(
        "--envs", type=Path, default=Path("~/.cache/pyflow-benchmarks"), help="folder for virtual environments"
    )
    parser.add_argument("--pyflow-python", type=Path, help="measure the pyflow of this interpreter instead")
    return parser.parse_args()


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """A type of argument: names with commas between."""

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"unknown name {name!r}; there are {', '.join(known)}")
        return chosen

    return parse


def make_environments(session: Session, environments: Environments, options: argparse.Namespace) -> None:
    """Find the interpreter of pyflow and of each peer that can be had."""
    for name in options.peers:
        with session.skipping(name):
            session.pythons[name] = environments.for_script(HERE / "peers" / f"{name}_peer.py")
    with session.skipping("pyflow"):
        session.pythons["pyflow"] = options.pyflow_python or environments.for_pyflow()
        try:
            session.start("pyflow").close()
        except PeerError:
            del session.pythons["pyflow"]
            raise


def beside(session: Session, plan: PeerPlan) -> None:
    """All that is measured of pyflow beside one peer."""
    if "hello" in session.works:
        figure = cold.hello(session.pythons.get("pyflow"), session.pythons[plan.name], plan, session.rounds)
        session.add([figure])
    workloads = [one for one in WORKLOADS if one.name in session.works and plan.name in one.peers]
    if not workloads:
        return
    with session.skipping(plan.name), ExitStack() as stack:
        ours = stack.enter_context(session.start("pyflow")) if "pyflow" in session.pythons else None
        theirs = stack.enter_context(session.start(plan.name))
        for workload in workloads:
            session.add(compare(ours, theirs, plan, workload, session.rounds))


def by_itself(session: Session, plans: list[PeerPlan]) -> None:
    """All that is measured of pyflow alone; the array's memory of the peers as well."""
    if "array-memory" in session.works:
        array_memory(session, "pyflow", "pyflow")
        for plan in plans:
            array_memory(session, plan.name, plan.title)
    if "pyflow" not in session.pythons:
        return
    few = min(session.rounds, 4)
    if "import" in session.works:
        session.add(cold.imports(session.pythons["pyflow"], session.rounds))
    if "trace-and-pack" in session.works:
        with session.skipping("trace-and-pack"), session.start("pyflow") as peer:
            session.add([alone.trace_and_pack(peer, few)])
    if "scaling" in session.works:
        for form in ("fan_map", "fan_calls"):
            with session.skipping(f"scaling ({form})"):
                session.add(alone.scaling(lambda: session.start("pyflow"), form, few))


def array_memory(session: Session, name: str, title: str) -> None:
    """Memory beside a large array, of one peer in a fresh process."""
    if name in session.pythons:
        with session.skipping(name), session.start(name) as peer:
            session.add([alone.array_memory(peer, title, limit=name == "pyflow")])


def draw(session: Session, environments: Environments, results: Path) -> None:
    """Draw the results, in an environment that has what it takes."""
    script, picture = HERE / "plot.py", results.with_suffix(".png")
    with session.skipping("the plot"):
        python = environments.for_script(script)
        subprocess.run([str(python), str(script), str(results), str(picture)], check=True)


if __name__ == "__main__":
    sys.exit(main())

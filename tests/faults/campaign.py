"""Thousands of faults, each of which must end as promised: ``PYTHONPATH=tests python -m faults.campaign --injections 4000``.

The same seed gives the same faults. Prints the table fault × store, and ends with 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from faults.crowds import try_pipelines, try_restarts
from faults.deaths import try_dead_collectors, try_deaths, try_full_disks, try_twins, try_zombies
from faults.requests import try_collector, try_requests, try_storm
from faults.table import Table
from servers import Server, running_moto_process, running_seaweed

from pyflow.store.s3 import client, requests

SHARES = {
    "folder": {
        "deaths": 0.36, "twins": 0.08, "zombies": 0.06, "dead collectors": 0.03, "full disk": 0.05, "read-only": 0.01,
    },
    "moto": {
        "requests": 0.09, "storm": 0.16, "collector": 0.01, "deaths": 0.007, "twins": 0.002, "zombies": 0.002,
    },
    "seaweedfs": {
        "requests": 0.04, "storm": 0.06, "deaths": 0.007, "dead collectors": 0.002, "pipelines": 0.035, "restarts": 0.002,
    },
}  # fmt: skip
"""Which part of all injections each trial makes: most where one is cheap."""


def main() -> int:
    """Run a campaign; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--injections", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=tuple(SHARES), help="Only this one; the table is then printed as JSON.")
    options = parser.parse_args()
    began = time.monotonic()
    if options.store:
        be_impatient()
        table = Table()
        with tempfile.TemporaryDirectory(prefix="faults-") as name:
            TRIALS[options.store](table, Path(name), options.injections, options.seed)
        print(table.to_json())
        return 0
    table = at_once(options.injections, options.seed)
    print(f"\n{table.total} faults of seed {options.seed} in {time.monotonic() - began:.0f} s:\n")
    print(table.markdown())
    for words in table.broken:
        print(f"BROKEN: {words}")
    return 1 if table.broken else 0


def at_once(injections: int, seed: int) -> Table:
    """The trials of all stores, each store's in a process of its own."""
    table = Table()
    command = [sys.executable, "-m", "faults.campaign", "--injections", str(injections), "--seed", str(seed), "--store"]
    going = {store: subprocess.Popen([*command, store], stdout=subprocess.PIPE, text=True) for store in SHARES}
    for store, process in going.items():
        said = process.communicate()[0].splitlines()
        if process.returncode:
            table.add("the trials themselves", store, f"they ended with {process.returncode}")
        else:
            table.merge(said[-1])
    return table


def be_impatient() -> None:
    """Let pauses and time-outs be short; their number and order stay."""
    requests._FIRST_PAUSE_S = 0.005
    requests._LONGEST_PAUSE_S = 0.25
    client.READ_TIMEOUT_S = 1.0
    # The keys of the servers stand in a file of the tests, and its tasks travel with that.
    os.environ["PYFLOW_ALLOW_SECRETS"] = "AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY"


class Trials:
    """The trials on one store, and how many faults each of them makes."""

    def __init__(self, table: Table, store: str, injections: int, seed: int) -> None:
        self.table, self.store, self.injections, self.seed = table, store, injections, seed

    def share(self, name: str) -> int:
        return max(round(SHARES[self.store].get(name, 0) * self.injections), 2)

    def run(self, trial: Callable[..., None], *arguments: object, **more: object) -> None:
        began = time.monotonic()
        trial(self.table, *arguments, seed=self.seed, **more)
        took_s = time.monotonic() - began
        print(
            f"{self.store}: {trial.__name__} in {took_s:.1f} s, {self.table.total} so far", file=sys.stderr, flush=True
        )

    def run_forks(self, server: Server | None, folder: Path) -> None:
        """Those that fork, which come before those that need threads."""
        for trial, name in FORKING:
            if name in SHARES[self.store]:
                self.run(trial, server, self.store, folder, self.share(name))


FORKING = (
    (try_deaths, "deaths"),
    (try_twins, "twins"),
    (try_zombies, "zombies"),
    (try_dead_collectors, "dead collectors"),
)


def on_folder(table: Table, folder: Path, injections: int, seed: int) -> None:
    """All that can happen to a store in a folder."""
    trials = Trials(table, "folder", injections, seed)
    trials.run_forks(None, folder)
    trials.run(try_full_disks, trials.share("full disk"), trials.share("read-only"))


def on_moto(table: Table, folder: Path, injections: int, seed: int) -> None:
    """Faults on the way to moto."""
    trials = Trials(table, "moto", injections, seed)
    with running_moto_process(folder) as server:
        trials.run_forks(server, folder)
        trials.run(try_requests, server, "moto", trials.share("requests"), is_honest=False)
        trials.run(try_storm, server, "moto", trials.share("storm"))
        trials.run(try_collector, server, "moto", trials.share("collector"))


def on_seaweedfs(table: Table, folder: Path, injections: int, seed: int) -> None:
    """Faults on the way to a real server, and faults of the server."""
    trials = Trials(table, "seaweedfs", injections, seed)
    for name in ("first", "second"):
        (folder / name).mkdir()
    with running_seaweed(folder / "first") as server:
        trials.run_forks(server, folder)
        trials.run(try_requests, server, "seaweedfs", trials.share("requests"), is_honest=True)
        trials.run(try_storm, server, "seaweedfs", trials.share("storm"))
        trials.run(try_pipelines, server, "seaweedfs", trials.share("pipelines"))
    trials.run(try_restarts, "seaweedfs", folder / "second", trials.share("restarts"))


TRIALS = {"folder": on_folder, "moto": on_moto, "seaweedfs": on_seaweedfs}


if __name__ == "__main__":
    sys.exit(main())

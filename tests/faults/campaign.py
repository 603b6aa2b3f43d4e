"""Thousands of faults, each of which must end as promised: ``PYTHONPATH=tests python -m faults.campaign --injections 4000``.

The same seed gives the same faults. Prints the table fault × store, and ends with 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
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
    options = parser.parse_args()
    be_impatient()
    table, began = Table(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        run_all(table, Path(name), options.injections, options.seed)
    print(f"\n{table.total} faults of seed {options.seed} in {time.monotonic() - began:.0f} s:\n")
    print(table.markdown())
    for words in table.broken:
        print(f"BROKEN: {words}")
    return 1 if table.broken else 0


def be_impatient() -> None:
    """Let pauses and time-outs be short; their number and order stay."""
    requests._FIRST_PAUSE_S = 0.005
    requests._LONGEST_PAUSE_S = 0.25
    client.READ_TIMEOUT_S = 1.0


def run_all(table: Table, folder: Path, injections: int, seed: int) -> None:
    """All trials. Those that fork come before those that need threads."""

    def share(store: str, trial: str) -> int:
        return max(round(SHARES[store].get(trial, 0) * injections), 2)

    def run(trial: Callable[..., None], *arguments: object, **more: object) -> None:
        began = time.monotonic()
        trial(table, *arguments, seed=seed, **more)
        where = next((a for a in arguments if isinstance(a, str)), "folder")
        print(f"{trial.__name__} on {where}: {time.monotonic() - began:.1f} s, {table.total} so far", flush=True)

    def run_forks(server: Server | None, store: str) -> None:
        for trial, name in (
            (try_deaths, "deaths"),
            (try_twins, "twins"),
            (try_zombies, "zombies"),
            (try_dead_collectors, "dead collectors"),
        ):
            if name in SHARES[store]:
                run(trial, server, store, folder, share(store, name))

    run_forks(None, "folder")
    run(try_full_disks, share("folder", "full disk"), share("folder", "read-only"))
    for store, running in (("moto", running_moto_process), ("seaweedfs", running_seaweed)):
        data = folder / store
        data.mkdir()
        with running(data) as server:
            run_forks(server, store)
            run(try_requests, server, store, share(store, "requests"), is_honest=store == "seaweedfs")
            run(try_storm, server, store, share(store, "storm"))
            if store == "moto":
                run(try_collector, server, store, share(store, "collector"))
            else:
                run(try_pipelines, server, store, share(store, "pipelines"))
    data = folder / "restarts"
    data.mkdir()
    run(try_restarts, "seaweedfs", data, share("seaweedfs", "restarts"))


if __name__ == "__main__":
    sys.exit(main())

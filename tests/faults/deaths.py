"""Processes that die before and after each step of the commit protocol, twins, and zombies."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from faults.attempts import Attempt, Program, marker_file, until_exists
from faults.places import KEYS, entered, new_store
from faults.table import Table
from servers import Server

from pyflow import failpoints
from pyflow.errors import PyflowError
from pyflow.store import ContentStore, open_blobs
from pyflow.upkeep import Collector

DONE = {"append.after", "commit.after", "told.before", "told.after"}
"""Points behind the moment in which a result is committed."""

POINTS = (*failpoints.ATTEMPT, *failpoints.BLOB, *failpoints.FOLDER)
STALLS = ("call.after", "log.before", "blob.before", "commit.before")


def try_deaths(table: Table, server: Server | None, store: str, folder: Path, count: int, seed: int) -> None:
    """Kill an attempt at each point in turn, small and large results; the next one ends it."""
    dice = random.Random(f"{seed} deaths {store}")
    with entered(server):
        programs = [Program.packed(new_store(server, folder), size) for size in (0, 20_000)]
        done = number = 0
        while done < count and number < 4 * count:
            point = POINTS[number % len(POINTS)]
            number += 1
            program = dice.choice(programs)
            why = _kill(program, f"kill-{store}-{seed}-{number}", point, folder)
            if why is not None:
                done += 1
                step, _, side = point.partition(".")
                table.add(f"kill -9 {side} {step}", store, why and f"number {number} of seed {seed}, {point}: {why}")
        if not done:
            table.add("kill -9", store, "no attempt came to any fail point")


def _kill(program: Program, run_id: str, point: str, folder: Path) -> str | None:
    with marker_file(folder) as marker:
        program.forget_results()
        first = Attempt(program, run_id, 1, marker, failpoint=f"{point}:1:kill").wait()
        if not first.was_killed:
            return None  # this store, or this result, does not come to that point
        second = Attempt(program, run_id, 2, marker).wait()
        third = Attempt(program, run_id, 3, marker).wait()
        ran = marker.stat().st_size
    why = program.problem(run_id, second.outcome)
    if not why and third.outcome != second.outcome:
        why = "a third attempt was told something else"
    if not why and ran > (1 if point in DONE else 2):
        why = f"the task ran {ran} times"
    return why


def try_twins(table: Table, server: Server | None, store: str, folder: Path, count: int, seed: int) -> None:
    """Two to four attempts come to their commit at the same moment."""
    dice = random.Random(f"{seed} twins {store}")
    with entered(server):
        program = Program.packed(new_store(server, folder), 20_000)
        for number in range(count):
            run_id, gates = (
                f"twins-{seed}-{number}",
                [folder / f"gate-{store}-{number}-{me}" for me in range(dice.randint(2, 4))],
            )
            with marker_file(folder) as marker:
                twins = [
                    Attempt(program, run_id, 1, marker, failpoint=f"commit.before:1:wait={gate}") for gate in gates
                ]
                for gate in gates:
                    until_exists(Path(f"{gate}.waiting"))
                for gate in gates:
                    gate.touch()
                outcomes = [twin.wait().outcome for twin in twins]
            why = program.problem(run_id, outcomes[0])
            if not why and any(outcome != outcomes[0] for outcome in outcomes):
                why = "they were told different results"
            table.add("twins at their commit", store, why and f"number {number} of seed {seed}: {why}")


def try_zombies(table: Table, server: Server | None, store: str, folder: Path, count: int, seed: int) -> None:
    """An attempt stalls, another one commits, the first one goes on."""
    dice = random.Random(f"{seed} zombies {store}")
    with entered(server):
        program = Program.packed(new_store(server, folder), 20_000)
        for number in range(count):
            run_id, gate, point = f"zombie-{seed}-{number}", folder / f"zombie-{store}-{number}", dice.choice(STALLS)
            program.forget_results()
            with marker_file(folder) as marker:
                zombie = Attempt(program, run_id, 1, marker, failpoint=f"{point}:1:wait={gate}")
                until_exists(Path(f"{gate}.waiting"))
                second = Attempt(program, run_id, 2, marker).wait()
                gate.touch()
                zombie.wait()
            why = program.problem(run_id, second.outcome)
            if not why and zombie.outcome != second.outcome:
                why = "the zombie was told something else"
            table.add(
                "zombie wakes after another's commit", store, why and f"number {number} of seed {seed}, {point}: {why}"
            )


def try_dead_collectors(table: Table, server: Server | None, store: str, folder: Path, count: int, seed: int) -> None:
    """A collector dies at each of its steps; what is referred to stays, and the next one does the rest."""
    with entered(server):
        for number in range(count):
            point = failpoints.COLLECTION[number % len(failpoints.COLLECTION)]
            content = ContentStore(open_blobs(new_store(server, folder)), KEYS)
            kept = content.put_blob([b"kept" * 500])
            content.blobs.put(f"{KEYS.project_prefix()}/deployed/one", [kept.hex.encode()])
            for garbage in range(3):
                content.put_blob([b"%d" % garbage * 500])
            child = os.fork()
            if child == 0:
                try:
                    failpoints.arm(f"{point}:1:kill")
                    Collector(content, grace=None).collect()
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            table.add("kill -9 of gc at each step", store, _after_collector(content, kept.hex))


def _after_collector(content: ContentStore, kept: str) -> str:
    try:
        Collector(content, grace=None).collect()
        left = [info.key.rpartition("/")[2] for info in content.blobs.list(content.keys.blobs())]
        return "" if left == [kept] else f"{left} is left, and {kept} was to stay"
    except PyflowError as error:
        return f"{type(error).__name__}: {error}"


def try_full_disks(table: Table, count: int, read_only: int, seed: int) -> None:
    """Attempts on a disk that is full, and on one that is read-only, in a name space of their own; without the right
    to make one this is left out.
    """
    command = [
        "unshare",
        "--map-root-user",
        "--mount",
        sys.executable,
        "-m",
        "faults.disks",
        str(count),
        str(read_only),
        str(seed),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except FileNotFoundError:
        return
    for line in done.stdout.splitlines():
        fault, _, why = line.partition("\t")
        table.add(fault, "folder", why)
    if done.returncode and "Operation not permitted" not in done.stderr:
        table.add("full disk", "folder", f"the trial itself failed: {done.stderr[-2000:]}")

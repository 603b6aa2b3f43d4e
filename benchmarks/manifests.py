#!/usr/bin/env python3
"""Size of manifests and time to make them, beside Hera by hand and KFP's compiler: a fan-in of 100, 1,000 and 5,000 tasks.

    python benchmarks/manifests.py [--kfp PYTHON] [--rounds 3]

Hera runs in the same environment as pyflow; ``--kfp`` names the Python of one in which KFP is installed. Processes alternate,
and the median of the rounds counts; the time begins when everything is imported, except what is imported late.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

COUNTS = (100, 1000, 5000)
MOST_BYTES = 120
"""Of the manifest, for each task at a fan-in of 1,000."""
PEERS = Path(__file__).parent / "peers"
LIMIT_S = 600


def measured(python: str, name: str, count: int) -> dict[str, float] | None:
    """Seconds and bytes of one process; None when it cannot do it in time."""
    command = [python, str(PEERS / f"manifest_{name}.py"), str(count)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"{name} with {count} tasks: {error}", file=sys.stderr)
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Print one table; 1 when a manifest of ours is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kfp", help="the Python of an environment with KFP")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    pythons = {"pyflow": sys.executable, "hera": sys.executable, **({"kfp": given.kfp} if given.kfp else {})}
    print("| tasks | by | bytes a task | seconds | ours / theirs |\n|---|---|---|---|---|")
    is_small = True
    for count in COUNTS:
        rounds = [
            {name: measured(python, name, count) for name, python in pythons.items()} for _ in range(given.rounds)
        ]
        ours_s = 0.0
        for name in pythons:
            found = [r for r in (each[name] for each in rounds) if r is not None]
            if not found:
                print(f"| {count} | {name} | – | – | – |")
                continue
            seconds, size = median(r["seconds"] for r in found), found[0]["bytes"] / (count + 1)
            ours_s = seconds if name == "pyflow" else ours_s
            ratio = "" if name == "pyflow" else f"{ours_s / seconds:.2f}"
            print(f"| {count} | {name} | {size:.0f} | {seconds:.2f} | {ratio} |")
            is_small = is_small and not (name == "pyflow" and count == 1000 and size > MOST_BYTES)
    return 0 if is_small else 1


if __name__ == "__main__":
    sys.exit(main())

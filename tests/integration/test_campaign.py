"""Hundreds of faults on every store, each of which must end as promised; thousands by ``python -m faults.campaign``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("moto.server", reason="moto[server] is not installed")

SEED = 20261124


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_fault_ends_as_promised(repo: Path, capfd):
    """At least 600 faults of all kinds: no wrong value, no second result, no lost one, and errors that say what it was."""
    command = [sys.executable, "-m", "faults.campaign", "--injections", "620", "--seed", str(SEED)]
    environment = {**os.environ, "PYTHONPATH": str(repo / "tests")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    with capfd.disabled():
        print(f"\n{done.stdout}", flush=True)
    total = re.search(r"^(\d+) faults of seed", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stderr[-4000:]
    assert total is not None
    assert int(total[1]) >= 600

"""What a caller holds in memory: its own arguments and results, and nothing that passes between its tasks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CALLER = """
import json
import re
import sys
from pathlib import Path

import numpy as np
from pyflow import pipeline, task

MIB = 2**17  # in numbers of eight bytes

def peak_mib():
    # Of this process alone: what getrusage says begins with the peak of the one that started it.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

@task
def make(i):
    return np.full(16 * MIB, i, dtype=np.int64)

@task
def double(xs):
    return xs * 2

@task
def total(arrays):
    return sum(int(array[0]) + int(array[-1]) for array in arrays)

@pipeline
def fan_in(n):
    return total(double.map(make.map(range(n))))

if __name__ == "__main__":
    flow = fan_in.with_options(executor="local", store=sys.argv[1], progress=False)
    flow(1)
    before = peak_mib()
    print(json.dumps({"result": flow(16), "growth_mib": peak_mib() - before}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell the peak of one process")
def test_a_fan_in_does_not_pass_through_the_caller(tmp_path):
    """Sixteen arrays of 16 MiB reach the task that reads them, and the caller grows by less than a quarter of them."""
    (tmp_path / "caller.py").write_text(CALLER)
    words = [sys.executable, "caller.py", str(tmp_path / "store")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["result"] == 2 * 2 * sum(range(16))
    assert told["growth_mib"] < 16 * 16 / 4

#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["metaflow>=2.18", "numpy>=2"]
# ///
"""Metaflow: `python metaflow_flows.py run` with two workers, local datastore and metadata; arrays are artifacts."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import harness

FLOWS = Path(__file__).with_name("metaflow_flows.py")
OPTIONS = ["--quiet", "--no-pylint", "--datastore=local", "--metadata=local"]
SETTINGS = {
    "METAFLOW_USER": "benchmark",
    "METAFLOW_DEFAULT_EVENT_LOGGER": "nullSidecarLogger",
    "METAFLOW_DEFAULT_MONITOR": "nullSidecarMonitor",
}


def run_flow(name: str, request: harness.Request) -> float:
    """Run one flow in a process of its own and find its value in what it prints."""
    arguments = [f"--size={request.size}", f"--seed={request.seed}", f"--trail={request.trail}", "--max-workers=2"]
    done = subprocess.run(
        [sys.executable, str(FLOWS), *OPTIONS, "run", *arguments],
        env={**os.environ, **SETTINGS, "BENCHMARK_FLOW": name},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.partition("VALUE=")[2].split()[0])


if __name__ == "__main__":
    flows = {name: partial(run_flow, name) for name in ("chain", "fan", "array")}
    harness.serve(flows, version=version("metaflow"))

"""Controller, servers and store go away in the middle of a run and come back: it ends with the same values.

The testbed's own processes are ended and started again, so whoever else uses it notices: ``PYFLOW_TEST_ARGO_OUTAGES=1 pytest
tests/integration/argo/test_outages.py`` tries it, alone on the machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from argo_world import cluster, needs_argo, project, until

from pyflow.api import open_workplace
from pyflow.config import Settings
from pyflow.errors import UnreachableError

TESTBED = Path(os.environ.get("TESTBED", Path.home() / ".cache" / "pyflow-testbed"))

pytestmark = [
    *needs_argo,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        "PYFLOW_TEST_ARGO_OUTAGES" not in os.environ, reason="ends processes: PYFLOW_TEST_ARGO_OUTAGES=1"
    ),
    pytest.mark.skipif(not (TESTBED / "run").is_dir(), reason="the testbed is not on this machine"),
]

FLOW = """
    import time
    from pyflow import pipeline, task

    @task(retries=3, backoff="2s")
    def work(x):
        print("working", flush=True)
        time.sleep(4)
        return x + 1

    @task(retries=3, backoff="2s")
    def total(xs):
        return sum(xs)

    @pipeline
    def flow(n):
        first = work(n)
        return first, total(work.map([first, first]))
"""


@pytest.fixture
def flows(tmp_path, monkeypatch):
    return project(tmp_path, monkeypatch, FLOW)


@pytest.mark.parametrize("away_s", [0, 8])
@pytest.mark.parametrize("name", ["workflow-controller", "argo-server", "apiserver", "s3"])
def test_a_run_outlives_what_it_stands_on(flows, name, away_s):
    """It goes away while the first task works, and the rest of the run happens after it is back."""
    run = until(lambda: submitted(flows.flow, 1))
    until(lambda: "working" in run.logs("work"))
    restart(name, away_s)
    assert until(lambda: status_of(run), 300) == "succeeded"
    assert run.result() == (2, 6)
    content = open_workplace(Settings()).content
    slots = [slot for slot, _ in content.blobs.records(content.keys.commits(run.id))]
    assert len(slots) == len(set(slots)) == 4
    cluster().delete(run.record.place["workflow"])


def submitted(flow, *arguments):
    """A run, once what an earlier outage has left is there again."""
    try:
        return flow.submit(*arguments)
    except UnreachableError:
        return None


def status_of(run):
    """How the run ended, if it has."""
    status = run.wait(2)
    return status if status not in {"running", "pending"} else None


def is_alive(process: Path) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def restart(name: str, away_s: float) -> None:
    """End a process of the testbed, and start it again as it was."""
    kept = TESTBED / "run" / name
    pid = int(kept.read_text().split()[0])
    process = Path("/proc", str(pid))
    command = process.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    environment = dict(part.split(b"=", 1) for part in process.joinpath("environ").read_bytes().split(b"\0") if part)
    folder = process.joinpath("cwd").readlink()
    os.kill(pid, signal.SIGKILL if away_s else signal.SIGTERM)
    end = time.monotonic() + 5
    while is_alive(process):
        if time.monotonic() > end:  # some do not listen
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    time.sleep(away_s)
    start = f'setsid "$@" >> {TESTBED}/logs/{name}.log 2>&1 < /dev/null & echo $!'
    began = subprocess.run(
        ["bash", "-c", start, "bash", *command], env=environment, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()
    ticks = Path("/proc", began, "stat").read_text().rpartition(") ")[2].split()[19]
    kept.write_text(f"{began} {ticks}\n")

"""Whole processes, cold: a program of one task beside the same on each peer, and what `import pyflow` costs."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from figures import Figure
from processes import PeerError, environment
from workloads import FORBIDDEN_IMPORTS, HELLO_LIMITS, HELLO_ROUNDS, IMPORT_LIMIT_S, IMPORT_ROUNDS, PeerPlan

PEERS = Path(__file__).parent / "peers"
ARGUMENTS = {"metaflow": ["--quiet", "--no-pylint", "--datastore=local", "--metadata=local", "run"]}
LIMIT_S = 120.0
LOADED = "import json, sys, pyflow; print(json.dumps(sorted(sys.modules)))"


def hello(ours: Path | None, theirs: Path, plan: PeerPlan, rounds: int) -> Figure:
    """The time from start to end of one process that runs one task, alternating with the peer's."""
    ours_s: list[float] = []
    theirs_s: list[float] = []
    rounds = min(rounds, HELLO_ROUNDS, plan.most_rounds)
    note = "" if ours is not None else "pyflow was not measured"
    for number in range(-1, rounds):
        try:
            pair = (hello_seconds(ours, "pyflow") if ours is not None else None, hello_seconds(theirs, plan.name))
        except PeerError as error:
            note = str(error)
            break
        if number >= 0:  # the first fills the page cache
            ours_s += [pair[0]] if pair[0] is not None else []
            theirs_s.append(pair[1])
    return Figure(
        work="hello",
        what="One task, whole process, cold",
        peer=plan.title,
        value=median(ours_s) / median(theirs_s) if ours_s and theirs_s else None,
        limit=HELLO_LIMITS.get(plan.name),
        note=note,
        details={
            "pyflow": median(ours_s) if ours_s else None,
            "peer": median(theirs_s) if theirs_s else None,
            "of_unit": "s",
            "pyflow_rounds_s": ours_s,
            "peer_rounds_s": theirs_s,
        },
    )


def hello_seconds(python: Path, name: str) -> float:
    """Run one program to its end, in a folder of its own.

    Raises:
        PeerError: It failed or did not say hello.
    """
    script = PEERS / f"hello_{name}.py"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        words = [str(python), str(script), *ARGUMENTS.get(name, [])]
        began = time.perf_counter()
        done = subprocess.run(
            words,
            cwd=folder,
            env=environment(Path(folder)),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        seconds = time.perf_counter() - began
    if done.returncode != 0 or "hello world" not in done.stdout:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise PeerError(f"{script.name} ended with {done.returncode}: {last[:300]}")
    return seconds


def imports(python: Path, rounds: int) -> Iterable[Figure]:
    """`import pyflow` over `pass`, and which heavy modules it loads."""
    bare: list[float] = []
    loaded: list[float] = []
    for number in range(-1, min(rounds * 3, IMPORT_ROUNDS)):
        pair = (python_seconds(python, "pass"), python_seconds(python, "import pyflow"))
        if number >= 0:
            bare.append(pair[0])
            loaded.append(pair[1])
    yield Figure(
        work="import",
        what="import pyflow over python -c pass",
        value=median(loaded) - median(bare),
        unit="s",
        limit=IMPORT_LIMIT_S,
        details={"bare_s": median(bare), "with_import_s": median(loaded)},
    )
    modules = json.loads(subprocess.run([python, "-c", LOADED], check=True, capture_output=True, text=True).stdout)
    heavy = [name for name in FORBIDDEN_IMPORTS if name in modules]
    yield Figure(
        work="import",
        what="heavy modules loaded by import pyflow",
        value=len(heavy),
        unit="modules",
        limit=0,
        note=", ".join(heavy),
        details={"looked_for": FORBIDDEN_IMPORTS, "loaded": modules},
    )


def python_seconds(python: Path, code: str) -> float:
    """Time of one interpreter that runs one line."""
    began = time.perf_counter()
    subprocess.run([python, "-c", code], check=True, cwd=tempfile.gettempdir())
    return time.perf_counter() - began

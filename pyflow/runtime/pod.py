"""What pyflow does in a pod of a cluster that schedules for itself.

    python -m pyflow.runtime.pod WHAT INDICES RETRIES

``WHAT`` is the number of a node; ``l7`` when it comes behind all others, and so ends the run; ``e7`` to find out how many pods map 7 has; ``s7`` and ``c7`` before and beside the
container of a container task; ``b`` for a run without tasks; ``x`` at the end of a run, with the state that the cluster gives it in the place of the indices,
and behind all else what the cluster says of pods that failed (``silent.py``). ``RETRIES`` counts the attempts before.
The process ends with a code of ``contract.ExitCode``, by which the cluster decides about another attempt.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

from pyflow.contract import RETRYABLE, ExitCode, Outcome, slot_of
from pyflow.errors import ConfigError
from pyflow.packed import PackedGraph
from pyflow.runs import brief_of
from pyflow.runtime import sharing
from pyflow.runtime.ending import Said, end_run
from pyflow.runtime.execution import loading_exit_code
from pyflow.runtime.failure import record_error
from pyflow.runtime.oneshot import leave_now
from pyflow.runtime.pod_place import PodPlace, Reporter, say_why
from pyflow.runtime.pod_work import Work
from pyflow.runtime.program import Program
from pyflow.runtime.request import writer_of
from pyflow.runtime.resolve import Resolver
from pyflow.runtime.session import open_home
from pyflow.runtime.supervisor import run_once
from pyflow.store import ContentStore

_NO_SCRATCH: Final = Path("/nonexistent")
"""This process loads no values, so it makes no files."""


def main() -> int:
    """Do what the arguments say; the exit code."""
    # What ``python -m`` and ``-c`` put on the path is the folder that the container happens to start in.
    sys.path[:] = [entry for entry in sys.path if entry not in {"", os.getcwd()}]
    # Argo's emissary leaves none, and files of tasks would be everybody's to change.
    os.umask(0o022)
    try:
        if len(sys.argv) not in {4, 5} or not sys.argv[3].isdigit():
            raise ConfigError("This is a worker of pyflow's, which pyflow starts by itself, in pods.")
        place = PodPlace.of(os.environ, os.urandom(4).hex())
        return do(place, *sys.argv[1:3], attempt=int(sys.argv[3]) + 1, failures="".join(sys.argv[4:]))
    except Exception as error:  # noqa: BLE001  whatever it is, the cluster must learn what kind it is
        say_why(record_error(error, None, origins={}))
        return int(loading_exit_code(error))


def do(place: PodPlace, what: str, indices: str, *, attempt: int, failures: str = "") -> int:
    """Do one thing, as the module says; the exit code."""
    content = open_home(place.home)
    graph = PackedGraph.from_bytes(content.read_blob(place.graph_digest, place.graph_size))
    program = Program(graph, place.graph_digest)
    reporter = Reporter(content, place, graph.name)
    # What is loaded stays: nobody need look through it, and the process of the task shares it. See ``pyflow_start.begin``.
    gc.freeze()
    gc.enable()
    try:
        if what == "x":
            return _end(place, content, program, reporter, Said(indices, failures))
        code = _work(place, content, program, reporter, what.removeprefix(sharing.LAST), indices, attempt)
        if what.startswith(sharing.LAST) and code == ExitCode.COMMITTED:
            return _end(place, content, program, reporter, Said("Succeeded"))
        return code
    finally:
        reporter.close()


def _work(place: PodPlace, content: ContentStore, program: Program, reporter: Reporter, *asked: str | int) -> int:
    what, indices, attempt = str(asked[0]), str(asked[1]), int(asked[2])
    work = Work(place, program, reporter, attempt, Resolver(program, content, place.run_id, _NO_SCRATCH))
    share = sharing.parse_share(indices)
    if what.isdigit():
        return work.run(int(what), share)
    if what.startswith("c"):
        return work.collect(int(what[1:]), share)
    if work.marks.is_cancelled:
        return int(ExitCode.CANCELLED)
    if what == "b":
        return int(ExitCode.COMMITTED)
    if what.startswith("s"):
        return work.stage(int(what[1:]), share)
    return work.expand(program.map_of(int(what[1:])), share)


def _end(place: PodPlace, content: ContentStore, program: Program, reporter: Reporter, said: Said) -> int:
    reporter.record()
    handler = program.graph.on_exit
    retries = sharing.retries_of(program.graph, handler.id) if handler is not None else (0, 0.0)
    return end_run(place, content, program, reporter, lambda node: _run_handler(place, reporter, node, *retries), said)


def _run_handler(place: PodPlace, reporter: Reporter, node: int, retries: int, backoff_s: float) -> Outcome:
    """Run the exit handler, as often as its options say."""
    attempt = 1
    while True:
        invocation = place.invocation(node, (), attempt)
        reporter.note("started", slot=slot_of(node, ()), attempt=attempt, worker=writer_of([invocation]))
        outcome = run_once([invocation])[0]
        status = "succeeded" if outcome.is_committed else "failed"
        error = {} if outcome.error is None else {"error": outcome.error.to_wire()}
        reporter.note("ended", **brief_of(outcome), status=status, **error)
        if outcome.is_committed or outcome.exit_code not in RETRYABLE or attempt > retries:
            return outcome
        pause_s = backoff_s * 2 ** (attempt - 1)
        reporter.note("paused", slot=outcome.slot, seconds=pause_s)
        time.sleep(pause_s)
        attempt += 1


def start() -> NoReturn:
    """The same for the whole process."""
    # All that matters is written; to take an interpreter apart takes a tenth of what it took to start it.
    leave_now(main())


if __name__ == "__main__":
    start()

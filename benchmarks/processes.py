"""Peers as processes that stay, so that rounds can alternate between warm ones.

A peer runs in a session of its own and a working directory that goes with it. When it closes, whatever it left
running is ended by its process id.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

REQUEST_LIMIT_S = 300.0
CLOSE_LIMIT_S = 30.0


class PeerError(Exception):
    """A peer could not do what it was asked; the message says why."""


class NotSupportedError(PeerError):
    """The peer has no such workload."""


@dataclass(frozen=True)
class Reply:
    """What came of one round."""

    seconds: float
    value: Any


def environment(home: Path) -> dict[str, str]:
    """The variables of a peer: no home of the user's, nobody called up, servers on loopback only."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYFLOW_", "VIRTUAL_ENV"))}
    return {
        **kept,
        "HOME": str(home),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: the node's address is 127.0.0.1
        "RAY_TMPDIR": str(home),
        "METAFLOW_USER": "benchmark",
    }


class Peer:
    """One running peer; a context manager that ends it."""

    def __init__(self, python: Path, script: Path, *, log: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))  # short: socket paths of Ray must fit into 107 bytes
        self._log: IO[bytes] = log.open("ab")
        self._process = subprocess.Popen(
            [str(python), str(script)],
            cwd=self.folder,
            env=environment(self.folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._log_path = log
        try:
            self.version = str(self._read()["version"])
        except PeerError:
            self.close()
            raise

    def __enter__(self) -> Peer:  # noqa: PYI034 - Self is not in Python 3.10's typing
        """The peer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()

    def ask(self, workload: str, size: int, seed: int, *, trail: str = "") -> Reply:
        """Run one round.

        Raises:
            NotSupportedError: The peer has no such workload.
            PeerError: It failed, died or took too long.
        """
        assert self._process.stdin is not None
        try:
            request = {"workload": workload, "size": size, "seed": seed, "trail": trail}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise PeerError(f"it ended before {workload}: {self._last_words()}") from error
        reply = self._read()
        if reply.get("unsupported"):
            raise NotSupportedError(workload)
        if "error" in reply:
            raise PeerError(f"{workload}: {reply['error']}")
        return Reply(float(reply["seconds"]), reply["value"])

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        alarm = threading.Timer(REQUEST_LIMIT_S, self._kill)
        alarm.start()
        try:
            line = self._process.stdout.readline()
        finally:
            alarm.cancel()
        if not line:
            raise PeerError(f"it ended, or took over {REQUEST_LIMIT_S:.0f} s: {self._last_words()}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _last_words(self) -> str:
        said = self._log_path.read_text(encoding="utf-8", errors="replace").strip()
        return f"{said.rpartition(chr(10))[2][:300] or 'it said nothing'} ({self._log_path})"

    def _kill(self) -> None:
        for pid in family(self.pid):
            os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """End the peer and what it started, and remove its folder."""
        started = {pid: start_time(pid) for pid in family(self.pid)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            self._process.kill()
        try:
            self._process.wait(CLOSE_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        end_those_left(started)
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        try:
            for thread in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (thread / "children").read_text(encoding="ascii").split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
    return found


def start_time(pid: int) -> str | None:
    """When a process started, in ticks; `None` when it is gone. Tells a process from a later one of the same id."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


def end_those_left(started: dict[int, str | None], grace_s: float = 5.0) -> None:
    """Wait a little for processes to end by themselves, then end those that do not."""
    ends_at = time.monotonic() + grace_s
    while True:
        left = [pid for pid, when in started.items() if when is not None and start_time(pid) == when]
        if not left or time.monotonic() > ends_at:
            break
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)

"""One worker process, as seen by the process that started it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyflow.contract import Invocation, Outcome, is_chain
from pyflow.environments import runtime_folder
from pyflow.executors.local.backlog import Waiting
from pyflow.late import late
from pyflow.runtime import Messages, command_of, send, signal_tree, temporary_folder

if TYPE_CHECKING:
    from pyflow.images import compiled, travelling
else:
    # Only for workers with packages of their own.
    compiled = late("pyflow.images.compiled")
    travelling = late("pyflow.images.travelling")

_numbers = count(1)

# A worker with packages of its own sees the standard library, pyflow and what pyflow needs, as a container does, and nothing of
# what is installed here: -I leaves out the variables, the user's packages and the folder, -S all of site-packages.
_ISOLATED: Final = ("-I", "-S")
_ISOLATED_PROGRAM: Final = (
    "import sys; folder = sys.argv.pop(1); sys.path.insert(0, folder); sys.path.append(folder + sys.argv.pop(1)); "
    "from pyflow.runtime.worker import main; main()"
)
# With -c Python looks for modules in the working folder first, and a types.py or select.py of the author's there is none of the
# standard library's.
_PROGRAM: Final = (
    "import sys; sys.path[:] = [folder for folder in sys.path if folder]; sys.path.append(sys.argv.pop(1)); "
    "from pyflow.runtime.worker import main; main()"
)
_PACKAGE_PARENT: Final = str(Path(__file__).parents[3])


class Kind(NamedTuple):
    """What must be the same for a worker to be used again: the code it has imported, and where it stands."""

    code_digest: str
    folder: str
    environment: Mapping[str, str]
    packages: str = ""
    """Digest of the packages that it has instead of those that are installed here; empty for the latter."""


class Told(NamedTuple):
    """What a worker says: what came of one invocation, which one it has taken from the backlog, or both."""

    outcome: Outcome | None
    slot: str | None
    attempt: int
    has_dropped: bool = False
    """It gives back what it has not begun with of its chain."""


def _interpreter(kind: Kind) -> list[str]:
    """The beginning of a worker's command line."""
    if not kind.packages:
        return [sys.executable, "-c", _PROGRAM, _PACKAGE_PARENT]
    folder = compiled.install_runtime(runtime_folder())
    return [sys.executable, *_ISOLATED, "-c", _ISOLATED_PROGRAM, str(folder), f"{os.sep}{travelling.DEPENDENCIES}"]


class Worker:
    """A process that runs invocations, one after the other.

    Raises:
        OSError: The process cannot be started.
    """

    def __init__(self, kind: Kind, backlog_fd: int) -> None:
        self.kind = kind
        self.name = f"w{next(_numbers)}-{os.urandom(3).hex()}"
        self.queue: deque[Invocation] = deque()
        self.is_clean = True
        self.ending: str | None = None
        """Why it is being ended; None while it may go on."""
        self.kill_at: float | None = None
        self.is_ready = False
        """It has started, and said so."""
        self.is_accounted = False
        """What it was ended for has been reported."""
        self.given_timeout_s: float | None = None
        """For each of the invocations that it was given."""
        self._chain = ""
        """The nonce of the first invocation of the chain that it was given last."""
        self._chained: set[str] = set()
        """The slots of that chain which have not ended."""
        self._is_asked_back = False
        self._found: Waiting | None = None
        """What it is at, when it has found that in the backlog."""
        self._deadline: float | None = None
        self._log_end = 0
        self._run_id = ""
        self._path = tempfile.mkdtemp(prefix="pyflow-", dir=temporary_folder())
        self._commands_fd, self.outcomes_fd, self._lifeline_fd, self._process = self._start(backlog_fd)
        self._messages = Messages(self.outcomes_fd)

    def _start(self, backlog_fd: int) -> tuple[int, int, int, subprocess.Popen[bytes]]:
        scratch = os.path.join(self._path, "tmp")
        os.mkdir(scratch, 0o700)
        commands, outcomes, lifeline = os.pipe(), os.pipe(), os.pipe()
        theirs = (commands[0], outcomes[1], lifeline[0])
        spool = os.open(os.path.join(self._path, "spool"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                [*_interpreter(self.kind), self._path, self.name, *map(str, theirs), str(backlog_fd)],
                stdin=subprocess.DEVNULL,
                stdout=spool,
                stderr=spool,
                pass_fds=theirs if backlog_fd < 0 else (*theirs, backlog_fd),
                cwd=self.kind.folder,
                env={**self.kind.environment, "TMPDIR": scratch},
                # A session of its own: Ctrl-C in the terminal is the caller's to handle, and all that the
                # task starts can be ended with it.
                start_new_session=True,
            )
        finally:
            for fd in (*theirs, spool):
                os.close(fd)
        return commands[1], outcomes[0], lifeline[1], process

    def take(self, invocations: Sequence[Invocation], timeout_s: float | None) -> None:
        """Make these its own; it gets them by ``send``."""
        self._begin_run(invocations[0].run_id)
        self.queue.extend(invocations)
        self.given_timeout_s = timeout_s
        if is_chain(invocations):
            self._chain, self._is_asked_back = invocations[0].nonce, False
            self._chained.update(i.slot for i in invocations)

    def found(self, waiting: Waiting) -> None:
        """It has begun with this one from the backlog, maybe before it has read what it was given."""
        self._begin_run(waiting.invocation.run_id)
        self.queue.appendleft(waiting.invocation)
        self._found = waiting
        self.wind_up()

    def _begin_run(self, run_id: str) -> None:
        if run_id != self._run_id:
            self._run_id, self._log_end = run_id, 0

    @property
    def timeout_s(self) -> float | None:
        """How long it may be at what it is at."""
        return self.given_timeout_s if self._found is None else self._found.timeout_s

    def send(self, invocations: Sequence[Invocation]) -> None:
        """Let it run what it has taken."""
        if self._found is None:
            self.wind_up()
        # A worker that has just died is found out when its outcomes end.
        with contextlib.suppress(BrokenPipeError):
            send(self._commands_fd, command_of(list(invocations)))

    def read(self) -> list[Told]:
        """What it has told since. ``is_over`` when it will tell no more."""
        found = []
        for message in self._messages.read():
            if "ready" in message:
                # The clock of what it was given first has waited for this.
                self.is_ready = True
                self.wind_up()
                continue
            outcome = Outcome.from_wire(message["outcome"]) if "outcome" in message else None
            if outcome is not None:
                self.is_clean = self.is_clean and message["clean"]
                if outcome.log is not None and outcome.log.writer == self.name:
                    self._log_end = outcome.log.end
            slot, attempt = message.get("taken", (None, 0))
            found.append(Told(outcome, slot, attempt, has_dropped="dropped" in message))
        return found

    def done(self) -> Invocation:
        """The invocation that it was at is over; the clock of the next one starts."""
        invocation = self.queue.popleft()
        self._found = None
        self._chained.discard(invocation.slot)
        self.wind_up()
        return invocation

    def next_of_chain(self) -> Invocation | None:
        """The invocation that it goes on with by itself, when that belongs to a chain."""
        return self.queue[0] if self.queue and self.queue[0].slot in self._chained else None

    def leave_chain(self) -> list[Invocation]:
        """Nothing more of its chain will run here; the invocations that this concerns."""
        left = [i for i in self.queue if i.slot in self._chained]
        self.queue = deque(i for i in self.queue if i.slot not in self._chained)
        self._chained.clear()
        return left

    def ask_back(self) -> None:
        """Ask for what it has not begun with of its chain; the answer is ``has_dropped``."""
        if self._chained and not self._is_asked_back and not self.is_over:
            self._is_asked_back = True
            with contextlib.suppress(BrokenPipeError):
                send(self._commands_fd, {"drop": self._chain})

    @property
    def is_over(self) -> bool:
        """Nothing will come from it any more."""
        return self._messages.is_ended

    @property
    def deadline(self) -> float | None:
        """When something must be done about it, by ``time.monotonic()``; None for never."""
        return self.kill_at if self.kill_at is not None else self._deadline

    def end(self, reason: str, grace_s: float) -> None:
        """Ask it to end; it is killed when the grace is over."""
        if self.ending is None:
            self.ending = reason
            self.kill_at = time.monotonic() + grace_s
            signal_tree(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it, and all that it has started, at once."""
        self.kill_at = None
        self._deadline = None
        signal_tree(self._process.pid, signal.SIGKILL)

    def bury(self) -> int:
        """Wait for its end, remove what it leaves, and answer its return code."""
        self.kill()
        return_code = self._process.wait()
        for fd in (self._commands_fd, self.outcomes_fd, self._lifeline_fd):
            os.close(fd)
        shutil.rmtree(self._path, ignore_errors=True)
        return return_code

    def rest_of_log(self, log_size: int) -> tuple[int, bytes]:
        """Where the last attempt's part of the log starts, and what of it is not in the store yet."""
        with open(os.path.join(self._path, "spool"), "rb") as spool:
            spool.seek(max(0, log_size - self._log_end))
            return self._log_end, spool.read()

    def wind_up(self) -> None:
        """Start the clock of the invocation that it is at now."""
        timeout_s = self.timeout_s if self.queue and self.is_ready else None
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s

    def wait_for_exit(self, timeout_s: float) -> int | None:
        """Its return code, if it ends within the time."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

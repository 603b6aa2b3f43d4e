"""Invocations that wait for whichever worker is free first, so that no worker waits for the driver.

A pipe in packet mode (pipe(2): ``O_DIRECT``), from which all workers read: each read takes one whole
packet, and the kernel gives it to one reader only. A write is split into packets of ``PIPE_BUF`` bytes, so that many
packets of that size need one call. Systems without such pipes do without.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from pyflow.contract import Invocation
from pyflow.runtime import PACKET_BYTES, invocation_in, packet_of

MOST_PACKETS: Final = 256


class Waiting(NamedTuple):
    """An invocation that no worker has told of."""

    invocation: Invocation
    timeout_s: float | None


class Backlog:
    """Invocations that are handed out in advance, one by one."""

    def __init__(self) -> None:
        self.read_fd, self._write_fd = _open_pipe() if has_backlogs() else (-1, -1)
        self._waiting: dict[tuple[str, int], Waiting] = {}
        self._unsent: list[bytes] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def unsent(self) -> int:
        """How many were put in and not handed out yet."""
        return len(self._unsent)

    def put(self, invocations: Sequence[Invocation], timeout_s: float | None) -> bool:
        """Let some worker take these, from the next ``send`` on; False when they must be given to one."""
        if self.read_fd < 0 or len(invocations) != 1:
            return False
        invocation = invocations[0]
        packet = packet_of(invocation)
        if len(packet) != PACKET_BYTES:
            return False
        self._unsent.append(packet)
        self._waiting[invocation.slot, invocation.attempt] = Waiting(invocation, timeout_s)
        return True

    def send(self) -> None:
        """Hand out what was put in, as far as the pipe has room for it; the rest goes with a later call."""
        while self._unsent:
            try:
                sent = os.write(self._write_fd, b"".join(self._unsent))
            except BlockingIOError:
                return
            del self._unsent[: sent // PACKET_BYTES]

    def taken(self, slot: str, attempt: int) -> Waiting | None:
        """A worker says that it has this one; None when it was given up meanwhile."""
        return self._waiting.pop((slot, attempt), None)

    def take_back(self) -> list[Waiting]:
        """All that no worker has taken yet. Those that one has taken and not told of remain."""
        found: list[bytes] = []
        while self._waiting:
            try:
                packet = os.read(self.read_fd, PACKET_BYTES)
            except BlockingIOError:
                break
            found.append(packet)
        found += self._unsent
        self._unsent.clear()
        return [self._waiting.pop(_key_of(packet)) for packet in found]

    def give_up(self) -> list[Waiting]:
        """The ones that a worker has taken, and will never tell of."""
        lost = list(self._waiting.values())
        self._waiting.clear()
        return lost

    def close(self) -> None:
        """Let go of the pipe."""
        if self.read_fd >= 0:
            os.close(self.read_fd)
            os.close(self._write_fd)
            self.read_fd = self._write_fd = -1


def _open_pipe() -> tuple[int, int]:
    read_fd, write_fd = os.pipe2(os.O_DIRECT | os.O_NONBLOCK | os.O_CLOEXEC)
    # A pipe holds 16 packets (pipe(7)); a user who has many pipes may not be allowed more, and ``send`` copes.
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(write_fd, _F_SETPIPE_SZ, MOST_PACKETS * PACKET_BYTES)
    return read_fd, write_fd


# fcntl(2); the module has the name only from Python 3.10.5 on.
_F_SETPIPE_SZ: Final = 1031


def _key_of(packet: bytes) -> tuple[str, int]:
    invocation = invocation_in(packet)
    return invocation.slot, invocation.attempt


def has_backlogs() -> bool:
    """Whether this system has pipes in packet mode."""
    return hasattr(os, "pipe2") and hasattr(os, "O_DIRECT")

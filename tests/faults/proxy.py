"""A proxy before a server that speaks S3, which does to the k-th request of an operation what a plan says."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from servers import Proxy, Server, running_proxy

BUSY = {"500": "InternalError", "503": "SlowDown", "429": "TooManyRequests", "409": "ConditionalRequestConflict"}
REFUSED = {
    "denied": (403, "AccessDenied"),
    "no bucket": (404, "NoSuchBucket"),
    "unknown key": (403, "InvalidAccessKeyId"),
    "clock": (403, "RequestTimeTooSkewed"),
}
EXPIRED = (400, "ExpiredToken")

HEALING = (*BUSY, "reset before", "reset after", "hang", "expired token")
"""Faults after which the same request, sent again, succeeds."""

OF_BODIES = ("short body", "cut body", "flipped bit", "slow body")
"""Faults of the body of an answer."""

HANG_S = 1.5
"""Longer than the clients of this suite wait."""


def operation_of(method: str, path: str) -> str:
    """What a request asks for."""
    _, _, query = path.partition("?")
    if method == "GET":
        return "list" if "list-type" in query else "get"
    if method == "HEAD":
        return "head"
    if method == "DELETE":
        return "abort" if "uploadId" in query else "delete"
    if method == "POST":
        return "begin upload" if "uploads" in query else "end upload" if "uploadId" in query else "delete many"
    return "put part" if "partNumber" in query else "put"


@dataclass
class Plan:
    """What is to be done, and what was."""

    operation: str = ""
    nth: int = 0
    kind: str = ""
    times: int = 1
    rate: float = 0.0
    """Of all requests, when they are struck by chance."""
    kinds: tuple[str, ...] = ()
    dice: random.Random = field(default_factory=lambda: random.Random(0))
    fired: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, operation: str, nth: int, kind: str, times: int = 1) -> None:
        """Do this to the nth request of an operation, and to those after it, until it was done so often."""
        with self.lock:
            self.operation, self.nth, self.kind, self.times = operation, nth, kind, times
            self.fired.clear()
            self.seen.clear()

    def of(self, operation: str) -> str:
        """What to do to a request of an operation; empty for nothing."""
        with self.lock:
            self.seen[operation] += 1
            if self.rate:
                kind = self.dice.choice(self.kinds) if self.dice.random() < self.rate else ""
                # A body fault needs a body, and a store must not be left alone for ever.
                return kind if kind not in OF_BODIES or operation == "get" else ""
            if operation != self.operation or self.seen[operation] < self.nth or not self.times:
                return ""
            self.times -= 1
            return self.kind

    def note(self, kind: str) -> None:
        """It was done."""
        with self.lock:
            self.fired[kind] += 1


class FaultProxy(Proxy):
    """Passes on what the plan lets it."""

    plan: Plan

    def do(self) -> None:
        """Answer one request, or do not."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.plan.of(operation_of(self.command, self.path))
        if not kind:
            self.answer(*self.pass_on(body))
            return
        self.plan.note(kind)
        if kind in BUSY:
            self.refuse(int(kind), BUSY[kind])
        elif kind in REFUSED:
            self.refuse(*REFUSED[kind])
        elif kind == "expired token":
            self.refuse(*EXPIRED)
        elif kind == "reset before":
            self.reset()
        elif kind == "reset after":
            self.pass_on(body)
            self.reset()
        elif kind == "hang":
            time.sleep(HANG_S)
            self.reset()
        elif kind == "flipped request":
            at = self.plan.dice.randrange(len(body)) if body else 0
            self.answer(*self.pass_on(flipped(body, at) if body else body))
        else:
            self.spoil(kind, *self.pass_on(body))

    def refuse(self, status: int, code: str) -> None:
        """Answer with an error, and change nothing."""
        content = (
            b"" if self.command == "HEAD" else f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
        )
        self.answer(status, [], content)

    def reset(self) -> None:
        """End the connection without a word."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            # Zero seconds of lingering: the other side sees a reset and no orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            self.connection.close()

    def spoil(self, kind: str, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        """Pass on an answer whose body is not what it was."""
        half = len(content) // 2
        if kind == "short body":
            self.answer(status, headers, content[:half])
        elif kind == "flipped bit":
            self.answer(
                status, headers, flipped(content, self.plan.dice.randrange(len(content))) if content else content
            )
        else:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:half])
            if kind == "cut body":
                self.reset()
            else:
                time.sleep(0.05)
                self.wfile.write(content[half:])


def flipped(content: bytes, at: int) -> bytes:
    """The same bytes but for one bit."""
    spoiled = bytearray(content)
    spoiled[at] ^= 1 << at % 8
    return bytes(spoiled)


@contextlib.contextmanager
def running_faults(server: Server) -> Iterator[tuple[Server, Plan]]:
    """A proxy before a server, and its plan."""
    plan = Plan()
    with running_proxy(server, type("Planned", (FaultProxy,), {"plan": plan})) as proxy:
        yield proxy, plan

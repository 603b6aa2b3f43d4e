"""What a worker of a pool is asked to run: as a message for one worker, or as a packet for whoever takes it."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final, TypeAlias

from pyflow.contract import Home, Invocation, parse_slot
from pyflow.jsontext import dump

_Run: TypeAlias = "tuple[Home, str, str, int]"


def command_of(invocations: list[Invocation]) -> dict[str, Any]:
    """The message that asks a worker to run these, all of one run."""
    first = invocations[0]
    return {
        "run": _header_of(first.home, first.run_id, first.graph_digest, first.graph_size).decode(),
        "slots": [[i.slot, i.attempt, i.nonce] for i in invocations],
    }


def invocations_of(command: dict[str, Any]) -> list[Invocation]:
    """The invocations that ``command_of`` was given."""
    run = _run_of(command["run"].encode())
    return [_invocation(run, slot, attempt, nonce) for slot, attempt, nonce in command["slots"]]


PACKET_BYTES: Final = 4096
"""PIPE_BUF on Linux (pipe(7)): a packet of a pipe in packet mode has no more."""


def packet_of(invocation: Invocation) -> bytes:
    r"""``SLOT ATTEMPT NONCE\nRUN\n``: what is the same for all of a run is neither written nor read more than once.

    Filled up to ``PACKET_BYTES``, so that a write of several makes as many packets; longer when it does not fit into one.
    """
    run = _header_of(invocation.home, invocation.run_id, invocation.graph_digest, invocation.graph_size)
    packet = b"%b %d %b\n%b\n" % (invocation.slot.encode(), invocation.attempt, invocation.nonce.encode(), run)
    return packet.ljust(PACKET_BYTES)


def invocation_in(packet: bytes) -> Invocation:
    """The invocation that ``packet_of`` was given."""
    own, run, _ = packet.split(b"\n", 2)
    slot, attempt, nonce = own.decode().split(" ")
    return _invocation(_run_of(run), slot, int(attempt), nonce)


@lru_cache(maxsize=8)
def _header_of(home: Home, run_id: str, digest: str, size: int) -> bytes:
    return dump([*home, run_id, digest, size]).encode()


@lru_cache(maxsize=8)
def _run_of(header: bytes) -> _Run:
    *home, run_id, digest, size = json.loads(header)
    return Home._make(home), run_id, digest, size


def _invocation(run: _Run, slot: str, attempt: int, nonce: str) -> Invocation:
    home, run_id, digest, size = run
    node, indices = parse_slot(slot)
    return Invocation(
        home=home,
        run_id=run_id,
        graph_digest=digest,
        graph_size=size,
        node=node,
        indices=indices,
        attempt=attempt,
        nonce=nonce,
    )

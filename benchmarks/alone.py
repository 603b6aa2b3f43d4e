"""What is asked of a peer by itself: memory beside a large array, and how time and memory grow with many tasks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

from compare import FORM_TITLES, SEEDS
from figures import Figure
from memory import MemorySampler, trail_of
from processes import Peer, PeerError
from workloads import (
    ARRAY_ITEMS,
    ARRAY_MEMORY_LIMIT,
    SCALING_LIMIT,
    TRACE_AND_PACK_LIMIT_US,
    array_value,
    fan_value,
)

ARRAY_BYTES = ARRAY_ITEMS * 8
FEW, MANY = 1_000, 10_000
MIB = 1 << 20


def array_memory(peer: Peer, title: str, *, limit: bool) -> Figure:
    """Resident memory of its fullest process beyond what the functions that ran there hold, over the array's size.

    Args:
        peer: A fresh process; a small array goes through first, so that what a worker imports is there already.
        title: The name of the peer in the results.
        limit: Whether the limit is for this one.
    """
    peer.ask("array", 1_000, next(SEEDS))
    seed = next(SEEDS)
    with tempfile.TemporaryDirectory(prefix="benchmark-trail-") as trail:
        with MemorySampler(peer.pid) as sampler:
            reply = peer.ask("array", ARRAY_ITEMS, seed, trail=trail)
        held = trail_of(Path(trail))
    if reply.value != array_value(ARRAY_ITEMS, seed):
        raise PeerError(f"array gave {reply.value!r}")
    growth = sampler.growth()
    beyond = {pid: grown - held.get(pid, 0) * ARRAY_BYTES for pid, grown in growth.items()}
    names = {pid: "caller" if pid == peer.pid else "worker" if pid in held else "other" for pid in growth}
    return Figure(
        work="array-memory",
        what="256 MiB array: memory of a process beyond its function's own",
        peer=title,
        value=max(beyond.values()) / ARRAY_BYTES,
        unit="× the array",
        limit=ARRAY_MEMORY_LIMIT if limit else None,
        details={
            "processes": [
                {"is": names[pid], "growth_mib": growth[pid] / MIB, "beyond_mib": beyond[pid] / MIB} for pid in growth
            ]
        },
    )


def scaling(start: Callable[[], Peer], form: str, rounds: int) -> Iterable[Figure]:
    """Time and memory of 10,000 tasks over ten times those of 1,000."""
    few = [grown(start, form, FEW) for _ in range(rounds)]
    many = [grown(start, form, MANY) for _ in range(max(1, rounds // 2))]
    how = FORM_TITLES[form]
    for what, at, unit in (("time", 0, "s"), ("memory", 1, "bytes")):
        small, large = median(one[at] for one in few), median(one[at] for one in many)
        yield Figure(
            work="scaling",
            what=f"1,000 → 10,000 tasks ({how}): {what} over linear",
            value=large / (small * MANY / FEW) if small else None,
            unit="× linear",
            limit=SCALING_LIMIT,
            note="" if small else "no growth at 1,000 tasks",
            details={f"few_{unit}": small, f"many_{unit}": large},
        )


def grown(start: Callable[[], Peer], form: str, size: int) -> tuple[float, int]:
    """Seconds and bytes of one round in a fresh, warm process."""
    with start() as peer:
        peer.ask(form, 10, next(SEEDS))
        seed = next(SEEDS)
        with MemorySampler(peer.pid) as sampler:
            reply = peer.ask(form, size, seed)
    if reply.value != fan_value(size, seed):
        raise PeerError(f"{form} of {size} gave {reply.value!r}")
    return reply.seconds, sampler.growth_total()


def trace_and_pack(peer: Peer, rounds: int) -> Figure:
    """Microseconds a node to trace a pipeline of separate calls and to pack its graph."""
    spent: dict[str, float] = {}
    for part in ("trace_calls", "pack_calls"):
        peer.ask(part, 10, next(SEEDS))
        seconds = [peer.ask(part, MANY, next(SEEDS)).seconds for _ in range(rounds)]
        spent[part] = median(seconds) / MANY * 1e6
    return Figure(
        work="trace-and-pack",
        what="Trace and pack 10,000 calls, a node",
        value=sum(spent.values()),
        unit="µs",
        limit=TRACE_AND_PACK_LIMIT_US,
        details=spent,
    )

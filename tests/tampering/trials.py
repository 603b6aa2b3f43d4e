"""Tampering with one object of a store after the other, and what a reader then gets.

Whatever is done to an object, whoever reads the run gets the true value or one of pyflow's own errors, and the canary that
sings when it is unpickled stays silent.
"""

from __future__ import annotations

import json
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from canary import Cage, forged_record, line_of, without_signatures
from tampering.flow import expected

from pyflow.api import Run
from pyflow.errors import PyflowError, TaskError
from pyflow.runs import RunRecord
from pyflow.store import ContentStore
from pyflow.upkeep import Verifier, referred_by_run

Tampering = tuple[str, bytes]


class Place:
    """A store whose objects can be looked at and replaced one by one, behind pyflow's back.

    Args:
        open_content: Opens the store anew, with nothing remembered.
        objects: The keys of all objects of these runs, but for their logs.
        read: The bytes of one.
        write: Replace them.
    """

    def __init__(
        self,
        open_content: Callable[[], ContentStore],
        objects: list[str],
        read: Callable[[str], bytes],
        write: Callable[[str, bytes], None],
    ) -> None:
        self.open_content = open_content
        self.objects = objects
        self.read = read
        self.write = write


@dataclass
class Tally:
    """What came of all trials, by what was done."""

    tried: Counter[str] = field(default_factory=Counter)
    true: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    listed: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def tamperings(
    key: str, data: bytes, others: Mapping[str, bytes], cage: Cage, *, flips: int, seed: int
) -> Iterator[Tampering]:
    """What is done to one object, as a name and the bytes that it then has."""
    chance = random.Random(f"{seed} {key}")
    for _ in range(flips):
        at, bit = chance.randrange(len(data)), chance.randrange(8)
        yield "flipped bit", data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
    for size in {0, 1, len(data) // 2, len(data) - 1, *(chance.randrange(len(data)) for _ in range(3))}:
        yield "truncated", data[:size]
    yield "longer", data + b"x"
    yield "longer", data + cage.payload
    alike = [other for name, other in others.items() if name != key and _kind(name) == _kind(key) and other != data]
    for other in chance.sample(alike, min(3, len(alike))):
        yield "swapped with another valid one", other
    yield "canary in its place", cage.payload
    yield "canary behind its beginning", data[: len(data) // 2] + cage.payload
    if _kind(key) in {"run.json", "summary.json", "commit", "book"}:
        yield "signatures removed", without_signatures(data)
    if _kind(key) == "book":
        yield from (("forged commit in front", line_of(slot, record) + data) for slot, record in _forged(cage))
        yield from (("forged commit alone", line_of(slot, record)) for slot, record in _forged(cage))
    if _kind(key) == "commit":
        slot = key.rpartition("/")[2]
        yield from (("forged commit alone", record) for known, record in _forged(cage, slot) if known == slot)
        yield "forged result, true signature", _with_result(data, cage)
    if _kind(key) == "run.json":
        for change in (
            {"graph_digest": "../../../../etc/passwd"},
            {"graph_size": 1 << 62},
            {"run_id": "../x"},
            {"pid": "x"},
        ):
            yield "hostile names and sizes", json.dumps({**json.loads(data), **change}).encode()
    yield "bomb: nested lists", b"[" * 100_000
    yield "bomb: a header of 4 GiB", b"PYFLOW1\n" + struct.pack("<I", 0xFFFFFFFF) + b"x" * 64
    yield "bomb: numbers of a million digits", b'{"version":1,"at":' + b"9" * 1_000_000 + b"}"


def _kind(key: str) -> str:
    name = key.rpartition("/")[2]
    if "/blobs/" in key:
        return "blob"
    if "/commits/" in key:
        return "book" if name == "log" else "commit"
    return "events" if "/events/" in key else name


def _forged(cage: Cage, slot: str = "") -> Iterator[tuple[str, bytes]]:
    for one in (slot,) if slot else ("0", "1", "7.0"):
        for signature in ("", f',"sig":"00000000.{"A" * 43}"', ',"sig":"x"'):
            yield one, forged_record(one, cage.artifact, signature)


def _with_result(record: bytes, cage: Cage) -> bytes:
    signature = record.rpartition(b',"sig":')[2]
    body = json.loads(record)
    body.pop("sig", None)
    changed = json.dumps({**body, "result": cage.artifact}, separators=(",", ":")).encode()
    return changed[:-1] + b',"sig":' + signature


def try_all(
    place: Place, runs: Mapping[str, str], cage: Cage, results: Path, *, flips: int, verify_every: int
) -> Tally:
    """Tamper with each object, read both runs, and put it back.

    Args:
        runs: ``good`` and ``bad``, and ``older``, from which objects are replayed.
        flips: How many bits of each object are flipped, one at a time.
        verify_every: Each so manieth trial is verified as well.
    """
    tally = Tally()
    before = {key: place.read(key) for key in place.objects}
    replays = {key.replace(runs["older"], runs["good"]): data for key, data in before.items() if runs["older"] in key}
    content = place.open_content()
    referred = referred_by_run(content, runs["good"]) | referred_by_run(content, runs["bad"])
    for key in place.objects:
        is_blob, name = "/blobs/" in key, key.rpartition("/")[2].partition(".")[0]
        if runs["older"] in key or (is_blob and name not in referred):
            continue
        data = before[key]
        cases = list(tamperings(key, data, before, cage, flips=flips, seed=1))
        if key in replays:
            cases.append(("replayed from an older run", replays[key]))
        for number, (what, changed) in enumerate(cases):
            if changed == data:
                continue
            place.write(key, changed)
            _try_one(place, runs, key, what, cage, results, tally, verifies=number % verify_every == 0)
        place.write(key, data)
    return tally


def _try_one(
    place: Place,
    runs: Mapping[str, str],
    key: str,
    what: str,
    cage: Cage,
    results: Path,
    tally: Tally,
    *,
    verifies: bool,
) -> None:
    tally.tried[what] += 1
    which = "bad" if runs["bad"] in key else "good"
    try:
        outcome = _read(place.open_content(), runs[which], which, results)
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"[:300]
    if outcome == "true":
        tally.true[what] += 1
    elif outcome == "refused":
        tally.refused[what] += 1
    else:
        tally.wrong.append(f"{what} {key}: {outcome}")
    if not cage.is_silent:
        tally.wrong.append(f"{what} {key}: the canary sang")
    # Events are text, and many of their bits are as good as others.
    if verifies and _kind(key) != "events":
        if next(Verifier(place.open_content()).everything(), None) is not None:
            tally.listed[what] += 1
        else:
            tally.wrong.append(f"{what} {key}: verify did not list it")


def _read(content: ContentStore, run_id: str, which: str, results: Path) -> str:
    """``true`` when all of a run is as it was, ``refused`` when pyflow says that it is not; else what was got."""
    try:
        run = Run(content, RunRecord.read(content, run_id), results)
        if which == "good":
            value = run.result()
            return "true" if value == expected("salt") else f"another value: {value!r}"
        run.view()
        error = run.failure()
    except PyflowError:
        return "refused"
    if isinstance(error, ValueError) and str(error) == "salt":
        return "true"
    return "refused" if isinstance(error, (PyflowError, TaskError)) else f"another error: {error!r}"


def table(tallies: Mapping[str, Tally]) -> str:
    """What was tried, for people."""
    lines = [f"{'what was done':36}{'store':10}{'tried':>7}{'true':>7}{'refused':>9}{'verified':>10}"]
    for store, tally in tallies.items():
        lines += [
            f"{what:36}{store:10}{tally.tried[what]:7}{tally.true[what]:7}{tally.refused[what]:9}{tally.listed[what]:10}"
            for what in tally.tried
        ]
        lines.append(
            f"{'all':36}{store:10}{tally.tried.total():7}{tally.true.total():7}{tally.refused.total():9}{tally.listed.total():10}"
        )
    return "\n".join(lines)

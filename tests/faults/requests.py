"""Faults on the way to a bucket: one of each kind, at each request of all that an attempt at a task does with a store."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from faults.places import KEYS, entered
from faults.proxy import HEALING, OF_BODIES, REFUSED, Plan, running_faults
from faults.table import Table
from servers import BUCKET, Server

from pyflow.digest import CHUNK_SIZE
from pyflow.errors import IntegrityError, PyflowError, StoreError, StoreUnavailableError
from pyflow.store import ContentStore
from pyflow.store.s3 import Patience, S3Blobs
from pyflow.upkeep import Collector

OPERATIONS = ("put", "get", "head", "list")
OF_LARGE = ("begin upload", "put part", "end upload")
LARGE = bytes(range(256)) * (CHUNK_SIZE // 256) + b"and a little more"


@dataclass(frozen=True)
class Injection:
    """One fault at one request."""

    kind: str
    operation: str
    nth: int
    times: int = 1
    is_large: bool = False


def injections(dice: random.Random, *, is_honest: bool) -> Iterator[Injection]:
    """One after the other without end, of all kinds in turn.

    Args:
        dice: For what is left to chance.
        is_honest: Whether the server verifies what is sent to it.
    """
    kinds = [*HEALING, *OF_BODIES, *REFUSED, *(["flipped request"] if is_honest else []), "burst"]
    for number in itertools.count():
        kind = kinds[number % len(kinds)]
        times = dice.randint(1, 3)
        if kind == "burst":
            yield Injection("503", dice.choice(OPERATIONS), dice.randint(1, 3), times=dice.randint(4, 12))
        elif kind in OF_BODIES:
            yield Injection(kind, "get", dice.randint(1, 6), times=1 if kind == "flipped bit" else times)
        elif kind == "flipped request":
            yield Injection(kind, "put", dice.randint(1, 4))
        elif kind == "hang":
            yield Injection(kind, dice.choice(OPERATIONS), dice.randint(1, 4))
        elif kind == "expired token":
            yield Injection(kind, dice.choice(("put", "get", "list")), dice.randint(1, 4))
        elif kind == "no bucket":
            # The answer to a HEAD has no body, so there it only says that there is no such object.
            yield Injection(kind, dice.choice(("put", "get", "list")), dice.randint(1, 4))
        elif kind in HEALING and number % 29 == 0:
            yield Injection(kind, dice.choice(OF_LARGE), 1, times=1, is_large=True)
        else:
            yield Injection(kind, dice.choice(OPERATIONS), dice.randint(1, 4), times=times)


def try_requests(table: Table, server: Server, store: str, count: int, seed: int, *, is_honest: bool) -> None:
    """Inject so many faults, and see that each ends as promised."""
    dice, happened = random.Random(f"{seed} requests {store}"), 0
    clean = S3Blobs(f"s3://{BUCKET}/clean", patience=Patience(deadline_s=30))
    with running_faults(server) as (proxy, plan):
        plan.dice = dice
        for number, injection in enumerate(injections(dice, is_honest=is_honest)):
            if happened == count or number == 2 * count:
                break
            name = f"{injection.kind} at {injection.operation}" if injection.times < 4 else "burst of 503"
            why = _one(injection, proxy, server, plan, clean)
            if why is None:
                continue  # the request that was meant never came
            happened += 1
            table.add(_row(name), store, why and f"number {number} of seed {seed}, {injection}: {why}")


def try_storm(table: Table, server: Server, store: str, count: int, seed: int) -> None:
    """Strike one request in seven with whatever heals, attempt after attempt, until there were so many faults."""
    with running_faults(server) as (proxy, plan):
        plan.dice = random.Random(f"{seed} storm {store}")
        plan.kinds = tuple(kind for kind in (*HEALING, *OF_BODIES) if kind not in {"hang", "expired token"})
        while sum(plan.fired.values()) < count:
            url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
            with entered(server):
                direct = ContentStore(S3Blobs(url), KEYS)
                given = direct.put_blob([b"input" * 3000])
            before = plan.fired.copy()
            plan.rate = 1 / 7
            with entered(proxy):
                episode = Episode(S3Blobs(url, patience=Patience(deadline_s=60)), is_large=False)
                why = ""
                try:
                    episode.run(given.hex, b"input" * 3000)
                except (PyflowError, AssertionError) as error:
                    why = f"{type(error).__name__}: {error}"
            plan.rate = 0.0
            with entered(server):
                why = why or episode.check(ContentStore(S3Blobs(url), KEYS))
            struck = plan.fired - before
            for kind in struck:
                table.add(kind, store, why and f"storm of seed {seed}, {dict(struck)}: {why}", count=struck[kind])


def _row(name: str) -> str:
    """The row of the table: the kind, whatever the operation."""
    return name.partition(" at ")[0].replace("burst of 503", "burst of 4 to 12 × 503")


def _one(injection: Injection, proxy: Server, server: Server, plan: Plan, clean: S3Blobs) -> str | None:
    """Why a promise was broken; empty when none was; None when the fault did not happen."""
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    with entered(server):
        direct = ContentStore(S3Blobs(url), KEYS)
        data = b"input" * 3000
        given = direct.put_blob([data])
    with entered(proxy):
        episode = Episode(S3Blobs(url, patience=Patience(deadline_s=60)), is_large=injection.is_large)
        plan.arm(injection.operation, injection.nth, injection.kind, injection.times)
        error: BaseException | None = None
        try:
            episode.run(given.hex, data)
        except PyflowError as raised:
            error = raised
        except BaseException as raised:  # whatever else it is, it is not what was promised
            return f"{type(raised).__name__}: {raised}"
        happened = sum(plan.fired.values())
        plan.arm("", 0, "", 0)
        if not happened:
            return None
        why = _judge(injection, error)
        if not why and error is not None:
            # Whoever tries again later goes on from there.
            try:
                episode.run(given.hex, data)
            except PyflowError as raised:
                why = f"the second try failed: {raised}"
    with entered(server):
        return why or episode.check(ContentStore(S3Blobs(url), KEYS))


def _judge(injection: Injection, error: BaseException | None) -> str:
    if injection.kind in REFUSED and injection.operation != "none":
        if error is None:
            return "a refusal was not told"
        is_told = isinstance(error, StoreError) and not isinstance(error, (StoreUnavailableError, IntegrityError))
        return "" if is_told else f"a refusal became {type(error).__name__}: {error}"
    return "" if error is None else f"{type(error).__name__}: {error}"


class Episode:
    """All that an attempt at a task asks of a store, from its inputs to its commit, and what a reader asks afterwards."""

    def __init__(self, blobs: S3Blobs, *, is_large: bool) -> None:
        self.content = ContentStore(blobs, KEYS)
        self.result = LARGE if is_large else uuid.uuid4().hex.encode() * 700
        self.record = b'{"by":"%s"}' % uuid.uuid4().hex.encode()
        self.held: bytes | None = None
        self.told: dict[str, bool] = {}
        self.logged = b""

    def run(self, given: str, data: bytes) -> None:
        """Do it all. Called again after an error, it goes on as a second attempt would."""
        blobs, keys = self.content.blobs, self.content.keys
        assert bytes(self.content.read_blob(given, len(data))) == data, "a wrong input"
        book = keys.commits("r1")
        blobs.committed(book, "1")
        digest = self.content.put_blob([self.result])
        self.told["result"] = True
        if not self.told.get("log"):
            line = uuid.uuid4().hex.encode() + b"\n"
            blobs.append(keys.log("r1", "w1"), line)
            self.logged += line
            blobs.publish(keys.log("r1", "w1"))
            self.told["log"] = True
        held = blobs.commit(book, "1", self.record)
        assert self.held is None or held == self.held, "two different commits were told"
        self.held = held
        self.told["created"] = blobs.create(keys.cancel("r1"), b"{}") or self.told.get("created", False)
        assert blobs.commit(book, "1", b'{"by":"a twin"}') == held, "a twin was told something else"
        assert bytes(self.content.read_blob(digest.hex, digest.size_bytes)) == self.result, "a wrong result"
        assert b"".join(dict(blobs.commits(book)).values()) == held, "another commit is listed"
        assert self.logged.endswith(blobs.read_log(keys.log("r1", "w1"))[-33:]), "a wrong log"
        assert blobs.get(keys.cancel("r1")) == b"{}", "a wrong marker"

    def check(self, direct: ContentStore) -> str:
        """What is there in the end, seen without the proxy; why that is not what was promised."""
        book = direct.keys.commits("r1")
        records = list(direct.blobs.records(book))
        if [record for _, record in records] != [self.held]:
            return f"the store holds the commits {records}, and {self.held!r} was told"
        lines = direct.blobs.read_log(direct.keys.log("r1", "w1"))
        if self.told.get("log") and lines != self.logged:
            return f"the log has {lines!r}, and {self.logged!r} was written"
        direct.blobs.flush()
        return ""


def try_collector(table: Table, server: Server, store: str, count: int, seed: int) -> None:
    """A collection with faults on its way never removes what a run refers to, and ends in success or in a word."""
    dice, seen = random.Random(f"{seed} collector {store}"), 0
    with running_faults(server) as (proxy, plan):
        plan.dice = dice
        for number in range(2 * count):
            if seen == count:
                break
            url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
            with entered(server):
                direct = ContentStore(S3Blobs(url), KEYS)
                kept = direct.put_blob([b"kept" * 500])
                direct.blobs.put(f"{KEYS.project_prefix()}/deployed/one", [kept.hex.encode()])
                for garbage in range(3):
                    direct.put_blob([b"%d" % garbage * 500])
            kind = dice.choice(("503", "reset before", "reset after", "cut body", "short body"))
            operation = dice.choice(("list", "put", "get", "delete many")) if "body" not in kind else "get"
            plan.arm(operation, dice.randint(1, 3), kind)
            with entered(proxy):
                why = ""
                try:
                    Collector(ContentStore(S3Blobs(url), KEYS), grace=None).collect()
                except PyflowError as error:
                    why = f"{type(error).__name__}: {error}"
            happened = sum(plan.fired.values())
            plan.arm("", 0, "", 0)
            with entered(server):
                try:
                    assert bytes(direct.read_blob(kept.hex, kept.size_bytes)) == b"kept" * 500
                except (AssertionError, PyflowError) as error:
                    why = f"a blob that is referred to is gone: {error}"
            if happened:
                seen += 1
                table.add(
                    "any of these during gc",
                    store,
                    why and f"number {number} of seed {seed}, {kind} at {operation}: {why}",
                )

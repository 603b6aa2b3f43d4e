"""``kill -9`` at any point loses nothing that was acknowledged, and leaves nothing half visible."""

from __future__ import annotations

import random
import subprocess
import sys

from pyflow.store import open_blobs

RUN = "v1/demo/runs/ann/r1"
BOOK = f"{RUN}/commits"

# Large records and blobs make it likely that the kill comes in the middle of a write.
WRITER = """
import sys
from pyflow.store import open_blobs
store, first = open_blobs(sys.argv[1]), int(sys.argv[2])
for slot in range(first, first + 1_000_000):
    store.put(f"{sys.argv[3]}/blob-{slot}", [b"%d" % slot, b"x" * 400_000])
    store.append(f"{sys.argv[3]}/events/w{first}", b"%d\\n" % slot)
    store.commit(sys.argv[4], str(slot), b"%d " % slot + b"x" * (400_000 if slot % 2 else 100))
    print(slot, flush=True)
"""


def acknowledged_before_kill(url: str, first: int, count: int) -> list[int]:
    """Slots that a writer said it had committed until it was killed, after about ``count`` of them."""
    arguments = [sys.executable, "-c", WRITER, url, str(first), RUN, BOOK]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writer:
        said = [writer.stdout.readline() for _ in range(count)]
        writer.kill()
        said += writer.stdout.readlines()
    return [int(line) for line in said if line.endswith("\n")]


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path):
    """Twenty writers are killed one after the other; all they said they had committed is there, whole."""
    dice = random.Random(20)
    store = open_blobs(tmp_path / "store")
    acknowledged: list[int] = []
    for turn in range(20):
        slots = acknowledged_before_kill(store.url, turn * 1000, dice.randrange(1, 12))
        acknowledged += slots
        log = store.read_log(f"{RUN}/events/w{turn * 1000}")
        assert log.startswith(b"".join(b"%d\n" % slot for slot in slots))
        assert store.commit(BOOK, f"after-{turn}", b"new") == b"new"
    for reader in (store, open_blobs(store.url)):
        records = dict(reader.commits(BOOK))
        assert {slot for slot in acknowledged if not records[str(slot)].startswith(b"%d " % slot)} == set()
        assert {f"after-{turn}" for turn in range(20)} <= set(records)
    for info in store.list(RUN):
        if "/blob-" in info.key:
            slot = info.key.rpartition("-")[2].encode()
            assert store.get(info.key) == slot + b"x" * 400_000

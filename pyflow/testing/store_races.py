"""What several processes do at once to one store: for stores that outlive a process.

Like the laws, each race takes a store that is new and empty, and raises ``AssertionError`` when it is
broken. They start Python processes, so they take about a second each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final, TypedDict

from pyflow.store import BlobStore
from pyflow.testing.commit_laws import BOOK, RUN
from pyflow.testing.store_laws import StoreLaw

_PROCESSES: Final = 4
_SLOTS: Final = 200

# Each waits for a line, so that all start together, and answers with one line of JSON.
_WORK: Final = """
import json, sys
from pyflow.store import open_blobs
url, me, count, book, run = sys.argv[1:]
store = open_blobs(url)
print("ready", flush=True)
sys.stdin.readline()
commits = [store.commit(book, str(slot), me.encode() * (1 + slot % 7 * 300)).decode()[0] for slot in range(int(count))]
created = [slot for slot in range(int(count)) if store.create(f"{run}/claim-{slot}", me.encode())]
print(json.dumps({"commits": commits, "created": created}))
"""


def store_races() -> tuple[StoreLaw, ...]:
    """All races, each with a sentence that says what it asks."""
    return (processes_agree,)


def processes_agree(store: BlobStore) -> None:
    """Four processes that commit the same slots are told the same, and of those that create a key one succeeds."""
    said = _race(store)
    commits = [one["commits"] for one in said]
    if commits != [commits[0]] * _PROCESSES:
        raise AssertionError(f"the processes were told different records: {commits}")
    held = {slot: record[:1].decode() for slot, record in store.commits(BOOK)}
    if held != {str(slot): winner for slot, winner in enumerate(commits[0])}:
        raise AssertionError(f"the store holds other records than the processes were told: {held}")
    for slot in range(_SLOTS):
        creators = [str(me) for me, one in enumerate(said) if slot in one["created"]]
        content = store.get(f"{RUN}/claim-{slot}").decode()
        if creators != [content]:
            raise AssertionError(f"claim {slot} holds {content!r}, and {creators} were told that they created it")


class _Said(TypedDict):
    commits: list[str]
    created: list[int]


def _race(store: BlobStore) -> list[_Said]:
    def arguments(me: int) -> list[str]:
        return [sys.executable, "-c", _WORK, store.url, str(me), str(_SLOTS), BOOK, RUN]

    racers = [
        subprocess.Popen(arguments(me), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for me in range(_PROCESSES)
    ]
    for racer in racers:
        assert racer.stdout is not None
        racer.stdout.readline()
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    return [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]

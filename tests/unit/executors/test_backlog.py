"""What is handed out in advance: each invocation to one reader, and none twice."""

from __future__ import annotations

import fcntl
import os

import pytest

from pyflow.contract import Home, Invocation
from pyflow.executors.local.backlog import MOST_PACKETS, Backlog, has_backlogs
from pyflow.runtime import PACKET_BYTES, invocation_in

pytestmark = pytest.mark.skipif(not has_backlogs(), reason="this system has no pipes in packet mode")

F_SETPIPE_SZ = 1031


def invocation(item: int, store: str = "file:///tmp/store") -> Invocation:
    home = Home(store_url=store, project="p", owner="o")
    return Invocation(home=home, run_id="r", graph_digest="d", graph_size=1, node=3, indices=(item,), nonce=f"n{item}")


def read(backlog: Backlog) -> list[str]:
    """The slots that are in the pipe, as workers would take them."""
    found = []
    while True:
        try:
            found.append(invocation_in(os.read(backlog.read_fd, PACKET_BYTES)).slot)
        except BlockingIOError:
            return found


@pytest.fixture
def backlog():
    made = Backlog()
    yield made
    made.close()


def test_one_call_hands_out_several_packets(backlog):
    """Each read gets one invocation, in the order they were put in."""
    assert all(backlog.put([invocation(i)], None) for i in range(5))
    assert read(backlog) == []
    backlog.send()
    assert read(backlog) == [f"3.{i}" for i in range(5)]
    assert len(backlog) == 5


def test_what_finds_no_room_goes_later(backlog):
    """A full pipe keeps nothing away from later calls, and nothing is sent twice."""
    fcntl.fcntl(backlog.read_fd, F_SETPIPE_SZ, 4 * PACKET_BYTES)
    assert all(backlog.put([invocation(i)], None) for i in range(10))
    taken = []
    for _ in range(3):
        backlog.send()
        taken.append(read(backlog))
    assert [len(part) for part in taken] == [4, 4, 2]
    assert [slot for part in taken for slot in part] == [f"3.{i}" for i in range(10)]


def test_what_is_taken_back_is_what_nobody_has(backlog):
    """Whether it was sent or not; what a worker has taken stays."""
    for i in range(2):
        backlog.put([invocation(i)], 1.5)
    backlog.send()
    backlog.put([invocation(2)], None)
    mine = invocation_in(os.read(backlog.read_fd, PACKET_BYTES))
    assert [w.invocation.slot for w in backlog.take_back()] == ["3.1", "3.2"]
    backlog.send()
    assert read(backlog) == []
    waiting = backlog.taken(mine.slot, mine.attempt)
    assert waiting is not None
    assert waiting.timeout_s == 1.5
    assert len(backlog) == 0


def test_one_packet_or_none(backlog):
    """What does not fit into a packet, and what runs one after the other, must be given to one worker."""
    assert not backlog.put([invocation(0, "file:///" + "x" * PACKET_BYTES)], None)
    assert not backlog.put([invocation(0), invocation(1)], None)
    assert len(backlog) == 0


def test_a_backlog_holds_what_a_pace_asks_for(backlog):
    """As many packets as are ever launched in advance find room, where the user may have pipes of that size."""
    for i in range(MOST_PACKETS):
        backlog.put([invocation(i)], None)
    backlog.send()
    room = fcntl.fcntl(backlog.read_fd, 1032) // PACKET_BYTES
    assert len(read(backlog)) == min(room, MOST_PACKETS)

"""What crosses the wall comes out as it went in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow.contract import (
    RETRYABLE,
    ErrorRecord,
    ExitCode,
    Home,
    Invocation,
    LogSpan,
    Outcome,
    parse_slot,
    result_in,
    slot_of,
)
from pyflow.errors import EnvironmentMismatchError
from pyflow.runtime import command_of, invocation_in, packet_of
from pyflow.runtime.commands import invocations_of

text = st.text(max_size=20)
errors = st.builds(
    ErrorRecord, type=text, message=text, traceback=text,
    frames=st.lists(st.tuples(text, st.integers(0, 9), text).map(list), max_size=2), pickled=st.none() | st.just({"json": 1}),
    cause=st.none(), context=st.none(),
)  # fmt: skip
outcomes = st.builds(
    Outcome, slot=st.just("1.2"), attempt=st.integers(1, 9), nonce=text, exit_code=st.sampled_from(list(map(int, ExitCode))),
    result=st.none() | st.just({"json": None}) | st.just({"json": False}), facts=st.lists(st.booleans(), max_size=2),
    error=st.none() | errors, started_at=st.floats(0, 1e10), duration_s=st.floats(0, 1e6), cpu_s=st.floats(0, 1e6),
    peak_memory_bytes=st.integers(0, 2**50), log=st.none() | st.just(LogSpan(writer="w", start=0, end=5)), preview=text,
    fingerprint=text, environment=text,
)  # fmt: skip


@given(outcomes)
def test_an_outcome_is_plain_json(outcome):
    """Whatever its fields are, one line of JSON brings it back."""
    data = outcome.to_bytes()
    assert b"\n" not in data
    assert Outcome.from_wire(json.loads(data)) == outcome


@given(outcomes, st.sampled_from([',"result":1', '"result":{}', '\\",\\"result\\":2']))
def test_the_result_can_be_read_alone(outcome, hostile):
    """It is the one that the whole record has, also where a text in front of it or behind looks like it."""
    outcome = outcome._replace(nonce=outcome.nonce + hostile, preview=hostile)
    if outcome.result is None:
        with pytest.raises(KeyError):
            result_in(outcome.to_bytes())
    else:
        assert result_in(outcome.to_bytes()) == outcome.result


def test_the_result_of_a_record_in_another_order_is_read_too():
    """Members may stand as a later version writes them."""
    assert result_in(b'{"result":{"json":5},"v":1}') == {"json": 5}


def test_an_outcome_of_another_format_is_refused():
    """A newer pyflow's records are not guessed at."""
    with pytest.raises(EnvironmentMismatchError, match="format"):
        Outcome.from_wire({"v": 99, "slot": "1"})


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), max_size=4).map(tuple))
def test_a_slot_names_node_and_indices(node, indices):
    """Both can be read from its name."""
    assert parse_slot(slot_of(node, indices)) == (node, indices)


def test_invocations_travel_as_one_command():
    """Those of one run share what they have in common."""
    home = Home(store_url="/s", project="p", owner="o")
    sent = [
        Invocation(
            home=home, run_id="r", graph_digest="d", graph_size=5, node=n, indices=(n, 2), attempt=n, nonce=f"n{n}"
        )
        for n in (1, 2)
    ]
    assert invocations_of(json.loads(json.dumps(command_of(sent)))) == sent
    assert sent[0].slot == "1.1.2"
    assert [invocation_in(packet_of(invocation)) for invocation in sent] == sent


def test_exit_codes_keep_away_from_those_of_others():
    """Argo, shells and signals have theirs; what may be tried again is a subset."""
    assert {64, 65, 126, 127, 128, 137, 143}.isdisjoint(map(int, ExitCode))
    assert ExitCode.COMMITTED == 0
    assert set(RETRYABLE) == {ExitCode.TASK_RAISED, ExitCode.STORE_UNAVAILABLE, ExitCode.TIMEOUT}

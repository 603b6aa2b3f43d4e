"""What happened: states, events and records, kept in the store, readable by anyone who has its address."""

from pyflow.runs.brief import brief_of
from pyflow.runs.journal import Event, EventReader, Journal, read_events
from pyflow.runs.record import (
    ExitOutcome,
    RunRecord,
    RunSummary,
    given_text,
    is_caller_alive,
    new_run_id,
    process_started,
    this_host,
)
from pyflow.runs.shape import is_event
from pyflow.runs.state import ENDED, TRANSITIONS, Status, is_allowed
from pyflow.runs.unwritten import unwritten_summary, write_once_possible
from pyflow.runs.view import AttemptView, NodeView, RunView, SlotView, WaitView, failed_slots, slot_name

__all__ = [
    "ENDED",
    "TRANSITIONS",
    "AttemptView",
    "Event",
    "EventReader",
    "ExitOutcome",
    "Journal",
    "NodeView",
    "RunRecord",
    "RunSummary",
    "RunView",
    "SlotView",
    "Status",
    "WaitView",
    "brief_of",
    "failed_slots",
    "given_text",
    "is_allowed",
    "is_event",
    "is_caller_alive",
    "new_run_id",
    "process_started",
    "read_events",
    "slot_name",
    "this_host",
    "unwritten_summary",
    "write_once_possible",
]

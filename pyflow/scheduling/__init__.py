"""What may happen next in a run: events in, commands out. Doing it is the executors' part."""

from pyflow.scheduling.messages import (
    Advance,
    CancelRequested,
    Capacity,
    Command,
    Due,
    Ended,
    Event,
    Expand,
    Fail,
    Finish,
    Pause,
    Recalled,
    Skip,
    Slot,
    Start,
)
from pyflow.scheduling.scheduler import Scheduler

__all__ = [
    "Advance",
    "CancelRequested",
    "Capacity",
    "Command",
    "Due",
    "Ended",
    "Event",
    "Expand",
    "Fail",
    "Finish",
    "Pause",
    "Recalled",
    "Scheduler",
    "Skip",
    "Slot",
    "Start",
]

"""What a store needs now and then: to be checked, to be rid of what no run refers to, to be copied."""

from pyflow.upkeep.check import Finding, check_store
from pyflow.upkeep.collect import Collected, Collector
from pyflow.upkeep.copy import Copied, copy_run
from pyflow.upkeep.references import referred_by_run, run_ids
from pyflow.upkeep.retention import Kept, Retention, may_go, why_not

__all__ = [
    "Collected",
    "Collector",
    "Copied",
    "Finding",
    "Kept",
    "Retention",
    "check_store",
    "copy_run",
    "may_go",
    "referred_by_run",
    "run_ids",
    "why_not",
]

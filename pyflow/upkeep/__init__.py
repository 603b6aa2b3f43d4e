"""What a store needs now and then: to be checked, verified, rid of what no run refers to, copied."""

from pyflow.upkeep.check import Finding, check_store
from pyflow.upkeep.collect import Collected, Collector
from pyflow.upkeep.copy import Copied, copy_run
from pyflow.upkeep.flaws import Checked, Flaw
from pyflow.upkeep.references import referred_by_run, run_ids
from pyflow.upkeep.retention import Kept, Retention, may_go, why_not
from pyflow.upkeep.verify import Verifier

__all__ = [
    "Checked",
    "Collected",
    "Collector",
    "Copied",
    "Finding",
    "Flaw",
    "Kept",
    "Retention",
    "Verifier",
    "check_store",
    "copy_run",
    "may_go",
    "referred_by_run",
    "run_ids",
    "why_not",
]

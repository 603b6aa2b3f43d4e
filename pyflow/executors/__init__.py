"""Where a graph runs: one place each, behind one seam."""

from pyflow.executors.driver import Ending, Failure, Job, Watcher
from pyflow.executors.registry import NAMES, Executor, open_executor

__all__ = ["NAMES", "Ending", "Executor", "Failure", "Job", "Watcher", "open_executor"]

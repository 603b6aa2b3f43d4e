"""Where a graph runs: one place each, behind one seam."""

from pyflow.executors.driver import Ending, Failure, Job, Watcher
from pyflow.executors.launcher import Finished, Launcher, Lost, Report, Taken
from pyflow.executors.registry import (
    NAMES,
    REMOTE,
    Executor,
    TaskImage,
    argo_setup,
    images_of_tasks,
    is_remote,
    open_executor,
    open_remote,
)
from pyflow.executors.remote import Begun, Deployed, Finding, RemoteExecutor
from pyflow.executors.support import SUPPORT, machine_cpus, machine_memory_mib

__all__ = [
    "NAMES",
    "REMOTE",
    "SUPPORT",
    "Begun",
    "Deployed",
    "Ending",
    "Executor",
    "Failure",
    "Finding",
    "Finished",
    "Job",
    "Launcher",
    "Lost",
    "RemoteExecutor",
    "Report",
    "Taken",
    "TaskImage",
    "Watcher",
    "argo_setup",
    "images_of_tasks",
    "is_remote",
    "machine_cpus",
    "machine_memory_mib",
    "open_executor",
    "open_remote",
]

"""Laws that stores, launchers and executors keep, for our own tests and for those of whoever writes one."""

from __future__ import annotations

from pyflow.testing.executor_laws import check_executor, executor_laws
from pyflow.testing.laws_launcher import Pad, launcher_laws
from pyflow.testing.stage import NotAskedError, Stage
from pyflow.testing.store_laws import check_blob_store, store_laws
from pyflow.testing.store_races import store_races

__all__ = [
    "NotAskedError",
    "Pad",
    "Stage",
    "check_blob_store",
    "check_executor",
    "executor_laws",
    "launcher_laws",
    "store_laws",
    "store_races",
]

"""Laws that stores keep, for our own tests and for those of whoever writes one."""

from __future__ import annotations

from pyflow.testing.store_laws import check_blob_store, store_laws
from pyflow.testing.store_races import store_races

__all__ = ["check_blob_store", "store_laws", "store_races"]

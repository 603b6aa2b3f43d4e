"""From a traced graph to a packed one: functions, constants and code go into the store, plain JSON is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow.late import late_names
from pyflow.packing.pack import Packed, pack

if TYPE_CHECKING:
    from pyflow.packing.packages import Wanted, provide_packages, request_for, wanted_packages
else:
    __getattr__ = late_names(
        globals(), {"pyflow.packing.packages": "Wanted provide_packages request_for wanted_packages"}
    )

__all__ = ["Packed", "Wanted", "pack", "provide_packages", "request_for", "wanted_packages"]

"""From a traced graph to a packed one: functions, constants and code go into the store, plain JSON is left."""

from pyflow.packing.pack import Packed, pack
from pyflow.packing.packages import Wanted, provide_packages, wanted_packages

__all__ = ["Packed", "Wanted", "pack", "provide_packages", "wanted_packages"]

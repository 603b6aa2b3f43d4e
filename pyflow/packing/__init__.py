"""From a traced graph to a packed one: functions, constants and code go into the store, plain JSON is left."""

from pyflow.packing.pack import Packed, pack

__all__ = ["Packed", "pack"]

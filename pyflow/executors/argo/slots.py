"""Which slots of a run a pod stands for, as the parameters of its node say."""

from __future__ import annotations

from pyflow.contract import slot_of
from pyflow.executors.argo.workflow import PodNode


def slots_of(node: PodNode) -> list[str]:
    """The slots that a pod runs; empty for one that runs none, as the exit step."""
    number, indices = node.parameters.get("node", ""), node.parameters.get("indices", "-")
    if not number.isdigit():
        return []
    vector = () if indices in {"-", ""} else tuple(int(part) for part in indices.split("."))
    return [slot_of(int(number), vector)]

"""Why the pods of one run wait, as the cluster says it: of its own accord, or when it is asked what it has warned of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pyflow.errors import ExecutorError
from pyflow.executors.argo.cluster import Cluster
from pyflow.executors.argo.workflow import PodNode
from pyflow.runtime import reasons

_SLOW_S: Final = 5.0
"""When a pod that is on its way is worth a question."""
_VERY_SLOW_S: Final = 60.0
"""And when it is worth a word, though nobody has an answer."""


class Waits:
    """What keeps the pods of one run from running.

    Args:
        cluster: Where they are.
        has_begun: Whether a pod that still gets ready has told of its own: one of a container task fetches what that reads.
        now: The time.
    """

    def __init__(self, cluster: Cluster, has_begun: Callable[[PodNode], bool], now: Callable[[], float]) -> None:
        self._cluster = cluster
        self._has_begun = has_begun
        self._now = now
        self._pending_since: dict[str, float] = {}
        self._warned: dict[str, str] = {}
        self._asked_at: dict[str, float] = {}
        self._ask_at = float("-inf")

    def of(self, nodes: Sequence[PodNode]) -> dict[str, reasons.Wait | None]:
        """Why each of these pods waits that does, by its node's id; None for one that is on its way."""
        pending = [node for node in nodes if node.phase == "Pending"]
        waits = {node.id: reasons.why_it_waits(node.message) for node in pending}
        slow = [node for node in pending if waits[node.id] is None and self.pending_s(node) >= _SLOW_S]
        self._ask_about_one(slow)
        return waits | {node.id: self._warned_of(node) for node in slow}

    def pending_s(self, node: PodNode) -> float:
        """How long a pod has been on its way, as the cluster says, or as far as anybody has looked from here."""
        return self._now() - (node.started_at or self._pending_since.setdefault(node.id, self._now()))

    def _ask_about_one(self, nodes: Sequence[PodNode]) -> None:
        """Ask what Kubernetes has warned of: now and then, about the pod that was asked about longest ago."""
        if not nodes or self._now() < self._ask_at:
            return
        self._ask_at = self._now() + _SLOW_S
        node = min(nodes, key=lambda node: self._asked_at.get(node.id, 0.0))
        self._asked_at[node.id] = self._now()
        try:
            self._warned[node.id] = next(reversed(self._cluster.warnings(node.pod)), "")
        except ExecutorError:
            # Not everybody may read events; the wait is then not explained.
            self._warned[node.id] = ""

    def _warned_of(self, node: PodNode) -> reasons.Wait | None:
        """Why a pod is slow: by what Kubernetes has warned of, if it was asked; and if it knows nothing, that."""
        warned = self._warned.get(node.id)
        if warned == "" and self.pending_s(node) >= _VERY_SLOW_S and not self._has_begun(node):
            return reasons.LONG_ON_ITS_WAY
        return reasons.why_it_waits(warned or "")

"""A place that goes on with a run by itself, asked now and then how it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from pyflow.errors import ConfigError, ExecutorError
from pyflow.executors import RemoteExecutor
from pyflow.runs import RunRecord, Status
from pyflow.store import ContentStore

_FRESH_S: Final = 2.0
"""For so long an answer is good enough: a listing, a loop that waits."""


class Asked:
    """The status of one run, as its place says, and the wish that it may end."""

    def __init__(self, open_place: Callable[[], RemoteExecutor], record: RunRecord, content: ContentStore) -> None:
        self._open = open_place
        self._place: RemoteExecutor | None = None
        self._record = record
        self._content = content
        self._status: Status = "running"
        self.trouble = ""
        """Why nobody could say how the run is the last time; empty when all is well."""
        self._fresh_until = float("-inf")

    def status(self) -> Status:
        """How the run is. A place that cannot be asked now, from here, changes nothing: the run goes on there."""
        if time.monotonic() >= self._fresh_until:
            try:
                place = self._opened()
                self._status = place.status(self._record, self._content)
                self.trouble = place.trouble(self._record)
            except (ExecutorError, ConfigError) as error:
                self._status, self.trouble = "running", str(error)
            self._fresh_until = time.monotonic() + _FRESH_S
        return self._status

    def cancel(self) -> None:
        """End the run.

        Raises:
            ExecutorError: The place cannot be asked now.
            ConfigError: Nothing says where it is.
        """
        self._opened().cancel(self._record)
        self._fresh_until = float("-inf")

    def _opened(self) -> RemoteExecutor:
        if self._place is None:
            self._place = self._open()
        return self._place

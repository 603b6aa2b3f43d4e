"""Requests to the store, tried again until they succeed, cannot, or have taken too long."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Container
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pyflow.errors import StoreError, StoreUnavailableError
from pyflow.late import late
from pyflow.store import environment
from pyflow.store.s3.client import Client, asking, client
from pyflow.store.s3.failure import Cure, Verdict, code_of, judge, reported

if TYPE_CHECKING:
    from botocore import exceptions
else:
    exceptions = late("botocore.exceptions")

T = TypeVar("T")

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0


class Patience(NamedTuple):
    """How long to try again."""

    deadline_s: float = 600.0
    """For a store that fails or does not answer."""
    contact_s: float = 5.0
    """For one that has not answered yet at all: its address may be wrong."""
    most_attempts: int | None = None
    """None: as many as fit. ``AWS_MAX_ATTEMPTS`` sets it, as for AWS's own tools."""

    @classmethod
    def of_environment(cls) -> Patience:
        """The usual patience, with the attempts that ``AWS_MAX_ATTEMPTS`` allows."""
        text = os.environ.get("AWS_MAX_ATTEMPTS", "")
        return cls(most_attempts=int(text) if text.isdecimal() and int(text) else None)


class Requests:
    """Sends requests for one store.

    Args:
        url: The store, for messages.
        patience: How long to try again; None: as the environment says.
        sleep: Waits so many seconds.
    """

    def __init__(self, url: str, patience: Patience | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._url = url
        self._patience = patience
        self._sleep = sleep
        self._has_answered = False
        self._opened_in = environment.kept

    def ask(self, doing: str, request: Callable[[Client], T]) -> T:
        """What a request answers, which is sent again while that may help.

        Args:
            doing: What it is for, for messages: ``write 'v1/…'``.
            request: Sends it; sent twice, it must do the same as once.

        Raises:
            StoreUnavailableError: The store did not answer in time.
            StoreError: It refused, and would do so again.
        """
        patience = self._patience or Patience.of_environment()
        began, attempt, old_client = time.monotonic(), 0, None
        while True:
            attempt += 1
            try:
                with asking():
                    answer = request(self._client(after=old_client))
                self._has_answered = True
                return answer
            except reported() as error:
                verdict = judge(error)
                cure = Cure.NONE if verdict.cure is Cure.RENEWAL and old_client is not None else verdict.cure
                self._has_answered = self._has_answered or isinstance(error, exceptions.ClientError)
                if cure is Cure.RENEWAL:
                    old_client = self._client()
                    continue
                took_s = time.monotonic() - began
                if cure is Cure.NONE:
                    raise StoreError(self._words(doing, verdict)) from error
                if took_s >= self._limit_s(cure, patience) or attempt == patience.most_attempts:
                    tried = f" It was tried {attempt} times in {took_s:.3g} s." if attempt > 1 else ""
                    raise StoreUnavailableError(self._words(doing, verdict, tried)) from error
            self._sleep(self._pause_s(attempt, self._limit_s(cure, patience) - took_s))

    def _client(self, *, after: Client | None = None) -> Client:
        """The client for the environment that counts here, which is not that of a task unless the task has opened the store."""
        kept = environment.kept
        return client(None if kept is self._opened_in else kept, after=after)

    def ask_or_none(self, doing: str, codes: Container[str], request: Callable[[Client], T]) -> T | None:
        """The same; None when the store answers with one of these codes."""
        return self.ask(doing, partial(_or_none, codes, request))

    def _limit_s(self, cure: Cure, patience: Patience) -> float:
        if cure is Cure.CONTACT and not self._has_answered:
            return min(patience.contact_s, patience.deadline_s)
        return patience.deadline_s

    def _pause_s(self, attempt: int, left_s: float) -> float:
        # Full jitter: who failed together does not come back together.
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(attempt, 20))
        return min(random.uniform(0, longest), max(left_s, 0.0))  # noqa: S311  no secret

    def _words(self, doing: str, verdict: Verdict, tried: str = "") -> str:
        return f"Cannot {doing} in the store {self._url}: {verdict.what.rstrip('.')}.{tried} {verdict.advice}"


def _or_none(codes: Container[str], request: Callable[[Client], T], s3: Client) -> T | None:
    try:
        return request(s3)
    except exceptions.ClientError as error:
        if code_of(error) in codes:
            return None
        raise

"""Keeps the values of secrets out of what is stored.

Guarded are the values of variables whose names look secret (``KEY``, ``TOKEN``, ``SECRET``, ``PASSWORD``), and of the secrets that
tasks have been given. A value is looked for as it is, in UTF-8, and as JSON writes it: that is how it stands in pickles, texts and
records. Short ones are left out, for they stand anywhere.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pyflow.errors import SecretError
from pyflow.secrecy.find import PLACED

_LOOKS_SECRET: Final = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)

# Of these the name says that the value leads to a secret, or is none.
_LOOKS_PLAIN: Final = re.compile(
    r"KEYBOARD|TOKENIZERS|(_FILE|_PATH|_DIR|_FOLDER|_NAME|_URL|_URI|_ENDPOINT|_SECRETS)$", re.IGNORECASE
)

LEAST_LENGTH: Final = 6
"""Of a variable's value: ``true`` stands in every other payload."""

_HIDDEN: Final = "***"
_MOST_SCANNED: Final = 8 * 1024 * 1024
"""Of each part: what is longer is data, and to look through gigabytes of it would take seconds."""


class Guard:
    """What must not be stored, by the names of the variables that have it.

    Args:
        environment: Where variables that look secret are taken from.
        allowed: Names of variables whose values are no secrets, separated by commas; ``*`` for all of them.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, allowed: str = "") -> None:
        names = {name.strip() for name in allowed.split(",")}
        is_open = "*" in names
        self._spellings: dict[str, tuple[bytes, ...]] = {}
        self._text_by_name: dict[str, str] = {}
        for variable, value in () if is_open else environment.items():
            name = variable.removeprefix(PLACED)
            if looks_secret(name) and name not in names and len(value) >= LEAST_LENGTH:
                self._add(name, value)

    def learn(self, values: Mapping[str, str]) -> None:
        """Guard the values of secrets as well, whatever the names of their variables."""
        for name, value in values.items():
            if len(value) >= LEAST_LENGTH:
                self._add(name, value)

    def check(self, parts: Iterable[bytes | bytearray | memoryview], what: object) -> None:
        """Make sure that none of them holds a secret.

        Args:
            parts: Bytes that are about to be stored.
            what: What they are, put into words only for the message: ``the result of task 'fit'``.

        Raises:
            SecretError: One does; the message names the variable and not its value.
        """
        if not self._spellings:
            return
        for part in parts:
            # Only bytes can be searched, so what is behind a view is copied.
            is_whole = isinstance(part, (bytes, bytearray)) and len(part) <= _MOST_SCANNED
            data = part if is_whole else bytes(part[:_MOST_SCANNED])
            for name, spellings in self._spellings.items():
                if any(spelling in data for spelling in spellings):
                    raise SecretError(_message(name, what))

    def check_text(self, text: str, what: object) -> None:
        """The same for a text."""
        for name, value in self._text_by_name.items():
            if value in text:
                raise SecretError(_message(name, what))

    def masked(self, text: str) -> str:
        """A text for people, with all values of secrets hidden."""
        for value in self._text_by_name.values():
            if value in text:
                text = text.replace(value, _HIDDEN)
        return text

    def _add(self, name: str, value: str) -> None:
        self._text_by_name[name] = value
        self._spellings[name] = tuple(
            dict.fromkeys(spell.encode("utf-8", "surrogateescape") for spell in spellings_in_json(value))
        )


def looks_secret(name: str) -> bool:
    """Whether a variable of this name is likely to hold a secret."""
    return bool(_LOOKS_SECRET.search(name)) and not _LOOKS_PLAIN.search(name)


def spellings_in_json(value: str) -> Sequence[str]:
    """A text as it is, and as JSON writes it, with and without other characters than those of ASCII."""
    return value, json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1]


def _message(name: str, what: object) -> str:
    what = str(what)
    return (
        f"{what[:1].upper()}{what[1:]} holds the value of the variable {name}, which would be written into the store with it. "
        f"Let the task look it up where it runs: env={{{name!r}: Secret(...)}}, then os.environ[{name!r}] in the task. If it is no "
        f"secret, say so: allow_secrets={name!r}, or PYFLOW_ALLOW_SECRETS={name}."
    )

"""Text of users in manifests: so that neither Argo (``{{``) nor Kubernetes (``$(``) reads anything into it."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Final

from pyflow.errors import ExecutorError
from pyflow.jsontext import Json, dump

BRACE: Final = {"name": "PYFLOW_BRACE", "value": "{"}
"""The variable that every container needs whose texts were ``escaped``; it stands before the others."""

_OPENING: Final = re.compile(r"\{(?=\{)")


def encoded(value: Json) -> str:
    """A value as base64url of its JSON, which holds letters, digits, ``-`` and ``_`` only."""
    return urlsafe_b64encode(dump(value).encode()).decode().rstrip("=")


def decoded(word: str) -> Json:
    """The value of such a word."""
    return json.loads(urlsafe_b64decode(word + "=" * (-len(word) % 4)))


def escaped(text: str) -> str:
    """Text for a command, arguments or variables of a container, which gets it unchanged.

    Kubernetes reads ``$$`` as ``$`` and puts the value of ``BRACE`` for its name in ``$(…)``, when Argo has looked for its braces already.
    """
    return _OPENING.sub(f"$({BRACE['name']})", text.replace("$", "$$"))


def json_text(value: Json) -> str:
    """JSON in whose strings nothing is left to be substituted: a brace or dollar sign is written by its number."""
    text = json.dumps(value, separators=(",", ":"))
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: _by_number(m[0]), text)


def _by_number(text: str) -> str:
    return text.replace("{", "\\u007b").replace("}", "\\u007d").replace("$", "\\u0024")


def plain(text: str, *, what: str) -> str:
    """Text that goes into a field which cannot be escaped, as it is.

    Raises:
        ExecutorError: It holds ``{{``, which Argo would read as a variable of its own.
    """
    if "{{" in text or "$(" in text or any(ord(c) < 32 for c in text):
        raise ExecutorError(
            f"The {what} {text[:200]!r} cannot go into a manifest: it holds '{{{{', '$(' or a line break."
        )
    return text


def all_plain(value: Json, *, what: str) -> Json:
    """A value whose texts go into such fields, keys among them.

    Raises:
        ExecutorError: One of them holds ``{{``.
    """
    if isinstance(value, Mapping):
        return {plain(k, what=what): all_plain(v, what=what) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [all_plain(v, what=what) for v in value]
    return plain(value, what=what) if isinstance(value, str) else value

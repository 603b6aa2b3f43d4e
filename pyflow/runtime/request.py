"""What the one-shot worker is asked to do, as a command line and one environment variable.

    PYFLOW_RUN='{"store": …, "project": …, "owner": …, "run": …, "graph": …, "size": …}'
    python -m pyflow.runtime task NODE INDICES ATTEMPT NONCE [INDICES ATTEMPT NONCE …]

``INDICES`` is ``-`` outside of maps and ``3.0`` inside two. Several of them are items of one batch. All of
this is ids, so nothing of the user's enters a manifest or a list of processes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Final

from pyflow.contract import Home, Invocation
from pyflow.errors import ConfigError
from pyflow.jsontext import dump
from pyflow.store import attempt_name

RUN_VARIABLE: Final = "PYFLOW_RUN"
RUN_LIMIT: Final = "PYFLOW_RUN_LIMIT"
"""The variable that says when a run began and how long it may take, where it may not take forever:
``<seconds since 1970>+<seconds>``."""
PARAMETERS_VARIABLE: Final = "PYFLOW_PARAMETERS"
"""The variable with what a run of a deployed pipeline was given: base64 of Argo's own list of names and values."""
_USAGE: Final = "python -m pyflow.runtime task NODE INDICES ATTEMPT NONCE [INDICES ATTEMPT NONCE …]"


def run_variable(invocation: Invocation) -> str:
    """The value of ``PYFLOW_RUN`` for any invocation of a run."""
    return dump(
        {
            **invocation.home.to_wire(),
            "run": invocation.run_id,
            "graph": invocation.graph_digest,
            "size": invocation.graph_size,
        }
    )


def task_words(invocations: Sequence[Invocation]) -> list[str]:
    """The words behind ``python -m pyflow.runtime`` that ask for these, all of one run and one node."""
    words = ["task", str(invocations[0].node)]
    for invocation in invocations:
        words += [indices_word(invocation.indices), str(invocation.attempt), invocation.nonce]
    return words


def writer_of(invocations: Sequence[Invocation]) -> str:
    """The name of the log that a worker for these writes, unique in their run."""
    first = invocations[0]
    return "t" + attempt_name(first.slot, first.attempt, first.nonce)


def indices_word(indices: tuple[int, ...]) -> str:
    """An index vector as one word."""
    return ".".join(map(str, indices)) or "-"


def invocations_asked(words: Sequence[str], variable: str | None) -> list[Invocation]:
    """The invocations that a command line asks for.

    Args:
        words: The command line behind ``python -m pyflow.runtime``.
        variable: The value of ``PYFLOW_RUN``.

    Raises:
        ConfigError: They are not what ``task_words`` and ``run_variable`` give.
    """
    if len(words) < 5 or words[0] != "task" or (len(words) - 2) % 3:
        raise ConfigError(f"This is a worker of pyflow's, which pyflow starts by itself: {_USAGE}")
    first = run_in(variable)
    try:
        asked = []
        for indices, attempt, nonce in zip(*(iter(words[2:]),) * 3, strict=True):
            vector = () if indices == "-" else tuple(map(int, indices.split(".")))
            asked.append(first._replace(node=int(words[1]), indices=vector, attempt=int(attempt), nonce=nonce))
    except ValueError as error:
        raise ConfigError(f"A number of this command line is none: {error}. Its form is: {_USAGE}") from error
    return asked


def texts_given(variable: str | None) -> dict[str, str | None]:
    """What ``PYFLOW_PARAMETERS`` says that a run was given, as it was typed; None for what has no value.

    Args:
        variable: Its value; None outside of deployed pipelines.
    """
    listed = json.loads(base64.b64decode(variable)) if variable else []
    return {one["name"]: one.get("value") for one in listed}


def run_in(variable: str | None) -> Invocation:
    """The run that ``PYFLOW_RUN`` names, as an invocation of no node yet.

    Raises:
        ConfigError: It is missing, or is not what ``run_variable`` gives.
    """
    if variable is None:
        raise ConfigError(f"{RUN_VARIABLE} is not set, which says which run a task belongs to.")
    try:
        wire = json.loads(variable)
        return Invocation(
            home=Home.from_wire(wire),
            run_id=str(wire["run"]),
            graph_digest=str(wire["graph"]),
            graph_size=int(wire["size"]),
            node=-1,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{RUN_VARIABLE} is not what pyflow writes there: {error!r}.") from error

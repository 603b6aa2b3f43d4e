"""Definitions without ``@pipeline``, which lives above tracing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pyflow.errors import DefinitionError
from pyflow.graph import Graph, Location
from pyflow.tracing import Definition, trace


def define(body: Callable[..., Any], **fields: Any) -> Definition:
    """The definition that ``@pipeline`` would make."""
    code = body.__code__
    name = fields.pop("name", body.__name__ if body.__name__ != "<lambda>" else "pipeline")
    return Definition(fn=body, name=name, at=Location(code.co_filename, code.co_firstlineno), **fields)


@pytest.fixture(name="define")
def _define() -> Callable[..., Definition]:
    return define


@pytest.fixture
def traced() -> Callable[..., Graph]:
    """Trace a body with these arguments."""
    return lambda body, *args, **kwargs: trace(define(body), args, kwargs)


@pytest.fixture
def fault() -> Callable[..., str]:
    """The message of the DefinitionError that a body raises."""

    def message(body: Callable[..., Any], *args: Any, **fields: Any) -> str:
        with pytest.raises(DefinitionError) as caught:
            trace(define(body, **fields), args)
        return str(caught.value)

    return message

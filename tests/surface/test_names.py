"""The public surface: the names a user imports, and no others."""

from __future__ import annotations

import pytest

import pyflow

PUBLIC = {
    "Run", "Secret", "Volume", "configure", "container", "each", "errors", "first_of", "load_run",
    "otherwise", "parallel", "pipeline", "steps", "task", "when",
}  # fmt: skip


def public_names() -> set[str]:
    """What ``pyflow`` offers, once it offers something."""
    if not hasattr(pyflow, "__all__"):
        pytest.skip("the public names are not built yet")
    return set(pyflow.__all__)


def test_public_names() -> None:
    """``pyflow`` offers exactly the names that the documentation speaks of."""
    assert public_names() == PUBLIC


def test_public_names_exist() -> None:
    """Every public name can be imported and has a docstring."""
    for name in sorted(public_names()):
        assert getattr(pyflow, name).__doc__, f"pyflow.{name} has no docstring"


def test_dir_offers_the_public_names() -> None:
    """An editor that asks ``dir(pyflow)`` finds every public name, lazily loaded or not."""
    assert public_names() <= set(dir(pyflow))


def test_errors_are_one_tree() -> None:
    """Every error that ``pyflow.errors`` offers can be caught as ``PyflowError``."""
    from pyflow import errors

    offered = [getattr(errors, name) for name in errors.__all__]
    raised = [item for item in offered if isinstance(item, type) and not issubclass(item, Warning)]
    assert all(issubclass(item, errors.PyflowError) for item in raised)

"""What every executor must do, as functions that try it: for ours, and for one that you write.

Each law takes a ``Stage``, which says how to run a pipeline there, and raises ``AssertionError`` when the
executor breaks it, or ``NotAskedError`` when it asks nothing of such an executor::

    @pytest.mark.parametrize("law", executor_laws(), ids=lambda law: law.__name__)
    def test_my_executor(law, tmp_path):
        law(Stage(executor="mine", store=str(tmp_path / "store"), shared=tmp_path, has_processes=True))
"""

from __future__ import annotations

from collections.abc import Callable

from pyflow.testing import (
    laws_code,
    laws_failure,
    laws_isolation,
    laws_maps,
    laws_order,
    laws_runs,
    laws_structure,
    laws_values,
)
from pyflow.testing.stage import Law, NotAskedError, Stage

_LAWS: tuple[Law, ...] = (
    *laws_structure.LAWS,
    *laws_values.LAWS,
    *laws_maps.LAWS,
    *laws_order.LAWS,
    *laws_failure.LAWS,
    *laws_isolation.LAWS,
    *laws_code.LAWS,
    *laws_runs.LAWS,
)


def executor_laws() -> tuple[Law, ...]:
    """All laws, each with a sentence that says what it asks."""
    return _LAWS


def check_executor(make_stage: Callable[[], Stage]) -> None:
    """Try all laws that the stage's abilities allow to ask, each on a stage of its own.

    Raises:
        AssertionError: The executor breaks a law; the message names it.
    """
    for law in _LAWS:
        try:
            law(make_stage())
        except NotAskedError:
            continue
        except AssertionError as error:
            raise AssertionError(f"{law.__name__}: {law.__doc__}\n{error}") from error

"""Names and blocks, apart from a trace."""

from __future__ import annotations

from pyflow.tracing.names import Names


def test_numbers_pass_over_taken_names():
    """A number is never given twice, whoever took the name."""
    names = Names()
    assert [names.take(name) for name in ("fit", "fit-2", "fit", "fit", "fit-2")] == [
        "fit",
        "fit-2",
        "fit-3",
        "fit-4",
        "fit-2-2",
    ]

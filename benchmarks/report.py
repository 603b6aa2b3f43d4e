"""Results as a table for the terminal and as JSON for everything else."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from figures import Figure

WARMTH = (
    "Hello and import are cold: a new process each time. All else is warm: one process each, one round that nobody "
    "counts, then rounds of pyflow and the peer in turn; medians."
)


def row(figure: Figure) -> str:
    """One line: what, beside whom, the number, the limit, the parts it was made from."""
    value = "—" if figure.value is None else f"{figure.value:.3g} {figure.unit}"
    limit = "" if figure.limit is None else f"≤ {figure.limit:g}"
    verdict = {True: "reached", False: "missed", None: ""}[figure.reached]
    parts = ""
    if "of_unit" in figure.details:
        pair = [figure.details["pyflow"], figure.details["peer"]]
        parts = " / ".join("—" if one is None else f"{one:.3g}" for one in pair) + f" {figure.details['of_unit']}"
    return f"{figure.what:<62} {figure.peer:<13} {value:>16} {limit:<7} {verdict:<8} {parts:<26} {figure.note}".rstrip()


def summary(figures: Sequence[Figure]) -> str:
    """How many limits hold."""
    asked = [figure for figure in figures if figure.limit is not None]
    measured = [figure for figure in asked if figure.value is not None]
    reached = sum(1 for figure in measured if figure.reached)
    return f"{reached} of {len(asked)} limits reached, {len(asked) - len(measured)} not measured."


def write(
    path: Path, figures: Sequence[Figure], *, versions: Mapping[str, str], skipped: Mapping[str, str], seconds: float
) -> None:
    """Write all of it as one JSON document."""
    document = {
        "made_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "took_s": round(seconds, 1),
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "how": WARMTH,
        "versions": dict(versions),
        "skipped": dict(skipped),
        "figures": [figure.to_json() for figure in figures],
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["matplotlib>=3.8"]
# ///
"""Draw `results.json`: a bar for each ratio of pyflow to a peer on a logarithmic axis, limits as marks.

    python plot.py results.json results.png

A bar to the left of 1 says that pyflow takes less than the peer. The last panel holds what pyflow is asked by
itself, as shares of the limits.
"""

from __future__ import annotations

import json
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

REACHED, MISSED, PLAIN = "#2a9d6f", "#d1495b", "#7d8ca3"
BAR_INCHES = 0.32
PANEL_INCHES = 0.62


@dataclass(frozen=True)
class Bar:
    """One bar: its name, how long it is, where it should end, what stands beside it."""

    label: str
    value: float
    limit: float | None
    reached: bool | None
    text: str

    @property
    def colour(self) -> str:
        """Says whether the limit holds."""
        return {True: REACHED, False: MISSED, None: PLAIN}[self.reached]


def panels(figures: list[dict[str, Any]]) -> dict[str, list[Bar]]:
    """Bars by the title of their panel, in the order of the results."""
    drawn: dict[str, list[Bar]] = {}
    last: list[Bar] = []
    for figure in figures:
        if not figure["value"] or figure["value"] < 0:
            continue
        if "of_unit" in figure["details"]:
            drawn.setdefault(figure["what"], []).append(ratio_bar(figure))
        elif figure["limit"]:
            last.append(share_bar(figure))
    if last:
        drawn["pyflow by itself, as a share of its limit"] = last
    return drawn


def ratio_bar(figure: dict[str, Any]) -> Bar:
    """pyflow over a peer, with both in words."""
    unit = figure["details"]["of_unit"]
    pair = [readable(figure["details"][side], unit) for side in ("pyflow", "peer")]
    text = f"{figure['value']:.2g}×   {pair[0]} against {pair[1]}"
    return Bar(f"÷ {figure['peer']}", figure["value"], figure["limit"], figure["reached"], text)


def share_bar(figure: dict[str, Any]) -> Bar:
    """A figure over its limit."""
    text = f"{figure['value']:.3g} {figure['unit']} (limit {figure['limit']:g})"
    return Bar(figure["what"], figure["value"] / figure["limit"], 1.0, figure["reached"], text)


def readable(number: float, unit: str) -> str:
    """A time in the unit that suits it."""
    seconds = number / 1e6 if unit.startswith("µs") else number
    for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {name}"
    return f"{seconds:.1e} s"


def plain_number(value: float, _: object) -> str:
    """1000, 1 and 0.001 rather than powers of ten."""
    return f"{value:g}"


def draw(document: dict[str, Any], target: Path) -> None:
    """Draw all panels below each other, on one axis."""
    drawn = panels(document["figures"])
    if not drawn:
        print("There is nothing to draw: no ratio and no limit was measured.")
        return
    heights = [len(bars) * BAR_INCHES + PANEL_INCHES for bars in drawn.values()]
    everything = [number for bars in drawn.values() for bar in bars for number in (bar.value, bar.limit or 1.0)]
    figure, rows = plt.subplots(
        len(drawn),
        sharex=True,
        squeeze=False,
        figsize=(11, sum(heights) + 1.2),
        gridspec_kw={"height_ratios": heights},
        layout="constrained",
    )
    columns: list[Any] = list(rows[:, 0])
    for axes, (title, bars) in zip(columns, drawn.items(), strict=True):
        draw_panel(axes, title, bars)
    bottom = columns[-1]
    bottom.set_xlim(min(everything) / 1.6, max(everything) * 12)  # room for the words behind the longest bar
    bottom.set_xlabel(
        "pyflow ÷ peer (left of 1: pyflow takes less)      ┃ limit      green: kept, red: missed, grey: no limit"
    )
    machine = document["machine"]
    figure.suptitle(
        f"pyflow beside its peers: {machine['cpus']} CPUs, Python {machine['python']}, {document['made_at'][:10]}",
        fontsize=13,
    )
    figure.savefig(target, dpi=110)
    print(target)


def draw_panel(axes: Any, title: str, bars: list[Bar]) -> None:
    """One panel: the first bar on top, each from 1 to its ratio."""
    places = range(len(bars))
    axes.barh(
        places, [bar.value - 1 for bar in bars], left=1.0, height=0.62, color=[bar.colour for bar in bars], zorder=2
    )
    axes.axvline(1.0, color="black", linewidth=0.9, zorder=3)
    for place, bar in zip(places, bars, strict=True):
        end = max(bar.value, bar.limit or 0.0, 1.0)
        axes.annotate(bar.text, (end, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8.5)
        if bar.limit is not None:
            axes.plot([bar.limit, bar.limit], [place - 0.42, place + 0.42], color="black", linewidth=2.4, zorder=4)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(list(places), [textwrap.fill(bar.label, 36) for bar in bars], fontsize=8.5)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=4)
    axes.grid(axis="x", color="#dddddd", linewidth=0.7, zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))

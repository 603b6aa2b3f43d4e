"""A picture of a graph for notebooks: one inline SVG, with nothing to fetch and no script."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from pyflow.graph.drawing import Labels, needed_by
from pyflow.graph.layout import HEADER, PADDING, Box, Picture, picture_of
from pyflow.graph.nodes import Node, Region

MAX_NODES: Final = 60
"""More than these make a picture that nobody reads; a table comes instead."""

_INK: Final = "#1f2937"
_LINE: Final = "#64748b"
# Fill and line by kind of box. Every fill is light and every text dark, whatever the notebook's theme.
_COLOURS: Final = {
    "call": ("#ffffff", "#2563eb"),
    "each": ("#ffffff", "#2563eb"),
    "container": ("#f5f3ff", "#7c3aed"),
    "select": ("#fffbeb", "#b45309"),
    "map": ("#eff6ff", "#2563eb"),
    "branch": ("#fffbeb", "#b45309"),
    "side": ("#ffffff", "#d6b370"),
}
_FONT: Final = "font-family='system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif' font-size='13'"


def to_html(name: str, region: Region) -> str:
    """The graph as HTML that draws itself: a picture, or, when it is large, a table of what there is."""
    count = sum(1 for _ in region.walk())
    return _svg(name, region) if count <= MAX_NODES else _summary(name, region, count)


def _svg(name: str, region: Region) -> str:
    labels = Labels(region)
    picture = picture_of(region, labels)
    picture.shift(PADDING, HEADER + PADDING)
    width = max(picture.width, 8.0 * len(name)) + 2 * PADDING
    height = picture.height + HEADER + 2 * PADDING
    parts = [
        _opening(name, width, height),
        "<rect width='100%' height='100%' rx='10' fill='#f8fafc' stroke='#e2e8f0'/>",
        f"<text x='{PADDING}' y='{PADDING + 10}' font-weight='600' fill='{_INK}'>{_escaped(name)}</text>",
    ]
    box_by_id: dict[int, Box] = {}
    parts += _frames(picture, box_by_id)
    parts += _arrows(region, picture, box_by_id)
    parts += [_leaf(box) for box in box_by_id.values() if box.kind in ("call", "each", "container", "select")]
    return "".join(parts) + "</svg>"


def _opening(name: str, width: float, height: float) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' viewBox='0 0 {width:.0f} {height:.0f}' "
        f"role='img' aria-label='Graph of {_escaped(name)}' style='max-width:100%;height:auto' {_FONT}>"
    )


def _frames(picture: Picture, box_by_id: dict[int, Box]) -> Iterator[str]:
    """The boxes that hold others, drawn first; notes every node's box on the way."""
    for box in picture.boxes:
        assert box.node is not None
        box_by_id[box.node.id] = box
        if box.inner is not None or box.groups:
            yield _frame(box)
        for holder in (box, *box.groups):
            if holder is not box:
                yield _frame(holder)
            if holder.inner is not None:
                yield from _frames(holder.inner, box_by_id)


def _frame(box: Box) -> str:
    fill, line = _COLOURS[box.kind]
    dash = " stroke-dasharray='5 4'" if box.kind == "side" else ""
    weight = "400" if box.kind == "side" else "600"
    return (
        f"<g>{_tooltip(box)}<rect x='{box.x:.1f}' y='{box.y:.1f}' width='{box.width:.1f}' height='{box.height:.1f}' rx='8' "
        f"fill='{fill}' stroke='{line}'{dash}/>"
        f"<text x='{box.x + PADDING:.1f}' y='{box.y + 18:.1f}' font-weight='{weight}' fill='{_INK}'>{_escaped(box.lines[0])}</text></g>"
    )


def _leaf(box: Box) -> str:
    fill, line = _COLOURS[box.kind]
    round_ = box.height / 2 if box.kind == "select" else 7
    shape = f"width='{box.width:.1f}' height='{box.height:.1f}' rx='{round_:.1f}' fill='{fill}' stroke='{line}' stroke-width='1.3'"
    behind = f"<rect x='{box.x + 4:.1f}' y='{box.y - 4:.1f}' {shape}/>" if box.kind == "each" else ""
    text = "".join(
        f"<text x='{box.middle:.1f}' y='{box.y + 21 + 18 * i:.1f}' text-anchor='middle' "
        f"fill='{_INK if i == 0 else _LINE}'>{_escaped(line)}</text>"
        for i, line in enumerate(box.lines)
    )
    return f"<g>{_tooltip(box)}{behind}<rect x='{box.x:.1f}' y='{box.y:.1f}' {shape}/>{text}</g>"


def _tooltip(box: Box) -> str:
    return "" if box.node is None else f"<title>{_escaped(f'{box.node.name} at {box.node.at}')}</title>"


def _arrows(region: Region, picture: Picture, box_by_id: dict[int, Box]) -> Iterator[str]:
    pictures = [*_pictures(picture)]
    for node in region.walk():
        used = needed_by(node)
        for early in used:
            yield _arrow(early, node, pictures, box_by_id, is_data=True)
        for early in node.after:
            if early not in used:
                yield _arrow(early, node, pictures, box_by_id, is_data=False)


def _pictures(picture: Picture) -> Iterator[Picture]:
    """This picture and those in it, the innermost first."""
    for box in picture.boxes:
        for holder in (box, *box.groups):
            if holder.inner is not None:
                yield from _pictures(holder.inner)
    yield picture


def _arrow(early: int, node: Node, pictures: list[Picture], box_by_id: dict[int, Box], *, is_data: bool) -> str:
    if early not in box_by_id or node.id not in box_by_id:  # in the one box of a mapped task
        return ""
    source, target = box_by_id[early], box_by_id[node.id]
    around = next(p for p in pictures if early in p.owner_by_id and node.id in p.owner_by_id)
    lanes = around.lanes.get((around.owner_by_id[early], around.owner_by_id[node.id]), [])
    points = [
        (source.middle, source.y + source.height),
        (source.middle, source.y + source.height + source.below),
        *((lane.middle, y) for lane in lanes for y in (lane.y, lane.y + lane.height)),
        (target.middle, target.y - target.above),
        (target.middle, target.y - 6),
    ]
    dash = "" if is_data else " stroke-dasharray='2 4'"
    x, y = points[-1]
    head = f"<path d='M{x - 4:.1f} {y:.1f}L{x + 4:.1f} {y:.1f}L{x:.1f} {y + 6:.1f}Z' fill='{_LINE}'/>"
    return f"<path d='{_curve(points)}' fill='none' stroke='{_LINE}' stroke-width='1.3'{dash}/>{head}"


def _curve(points: list[tuple[float, float]]) -> str:
    """Through the points from top to bottom, leaving and reaching each of them upright."""
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = (y1 - y0) / 2
        path += f"C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y1 - bend:.1f} {x1:.1f} {y1:.1f}"
    return path


def _summary(name: str, region: Region, count: int) -> str:
    kinds = Counter(re.sub(r"-\d+$", "", node.name) for node in region.walk())
    rows = "".join(
        f"<tr><td style='text-align:left'>{_escaped(kind)}</td><td>{number}</td></tr>"
        for kind, number in kinds.most_common(MAX_NODES)
    )
    rest = len(kinds) - MAX_NODES
    more = f"<tr><td style='text-align:left'>and {rest} more names</td><td></td></tr>" if rest > 0 else ""
    return (
        f"<div><b>{_escaped(name)}</b>: {count} nodes, too many for a picture</div>"
        f"<table><tr><th style='text-align:left'>node</th><th>calls</th></tr>{rows}{more}</table>"
    )


def _escaped(text: str) -> str:
    return (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("'", "&#39;")
        .replace('"', "&quot;")
    )

"""Where the boxes of a drawn graph lie: layers from top to bottom, regions as boxes within boxes.

After Sugiyama, Tagawa and Toda (1981), in the simplest form that reads well for some dozens of nodes:
the layer of a node is its longest path from a source; in a layer, nodes are ordered by the mean place of
their neighbours, a few times down and up; an arrow that crosses layers gets a narrow lane in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from pyflow.graph.drawing import Labels, is_simple, needed_by, shortened
from pyflow.graph.nodes import BranchNode, ContainerNode, MapNode, Node, Region, regions_of

GAP_X: Final = 28.0
GAP_Y: Final = 42.0
PADDING: Final = 14.0
HEADER: Final = 26.0
LANE: Final = 14.0
_SWEEPS: Final = 6
_CHARACTER: Final = 7.4  # the mean width at 13 px in the fonts that "sans-serif" tends to be


@dataclass(slots=True, eq=False)
class Box:
    """A rectangle with text: a node, a group of nodes, or a lane that an arrow goes through."""

    kind: str
    lines: list[str] = field(default_factory=list)
    node: Node | None = None
    width: float = LANE
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    above: float = 0.0
    """How much of its layer lies above the box; arrows go straight down to it from there, past its neighbours."""
    below: float = 0.0
    groups: list[Box] = field(default_factory=list)
    inner: Picture | None = None

    def shift(self, dx: float, dy: float) -> None:
        """Move the box with everything in it."""
        self.x += dx
        self.y += dy
        for group in self.groups:
            group.shift(dx, dy)
        if self.inner is not None:
            self.inner.shift(dx, dy)

    @property
    def middle(self) -> float:
        """The middle of its width."""
        return self.x + self.width / 2


@dataclass(slots=True, eq=False)
class Picture:
    """The boxes of one region, with lanes for its long arrows."""

    boxes: list[Box] = field(default_factory=list)
    lanes: dict[tuple[int, int], list[Box]] = field(default_factory=dict)
    """For an arrow between two nodes of the region (or what they hold), the lanes it goes through."""
    owner_by_id: dict[int, int] = field(default_factory=dict)
    """For every node in the region, the node of its own list that holds it."""
    width: float = 0.0
    height: float = 0.0

    def shift(self, dx: float, dy: float) -> None:
        """Move everything."""
        for box in self.boxes:
            box.shift(dx, dy)
        for lane in {id(lane): lane for lanes in self.lanes.values() for lane in lanes}.values():
            lane.shift(dx, dy)


def picture_of(region: Region, labels: Labels) -> Picture:
    """The region with every box in its place, from (0, 0) on."""
    picture = Picture()
    box_by_id: dict[int, Box] = {}
    for node in region.nodes:
        for held in _held_by(node):
            picture.owner_by_id[held.id] = node.id
        box_by_id[node.id] = _box(node, labels)
    picture.boxes = list(box_by_id.values())
    needs = {node.id: _needs_within(node, picture.owner_by_id) for node in region.nodes}
    layers, links = _layers(region.nodes, needs, box_by_id, picture)
    _order(layers, links)
    _place(layers, links, picture)
    return picture


def _held_by(node: Node) -> Iterator[Node]:
    """The node and all nodes in its regions."""
    yield node
    for region in regions_of(node):
        yield from region.walk()


def _needs_within(node: Node, owner_by_id: dict[int, int]) -> list[int]:
    """The nodes beside this one that it, or what it holds, waits for."""
    ids = (needed for inner in _held_by(node) for needed in (*needed_by(inner), *inner.after))
    owners = (owner_by_id[needed] for needed in ids if needed in owner_by_id)
    return [owner for owner in dict.fromkeys(owners) if owner != node.id]


def _box(node: Node, labels: Labels) -> Box:
    lines = [shortened(labels.node(node))]
    if isinstance(node, BranchNode):
        sides = [("then", node.then), *([("otherwise", node.otherwise)] if node.otherwise.nodes else [])]
        return _framed(Box("branch", lines, node), [_group(word, side, labels) for word, side in sides])
    if isinstance(node, MapNode) and not is_simple(node):
        return _around(Box("map", lines, node), picture_of(node.body, labels))
    kind = "call"
    if isinstance(node, ContainerNode):
        kind = "container"
        lines.append(shortened(node.image))
    elif isinstance(node, MapNode):
        kind = "each"
    elif not hasattr(node, "function"):
        kind = "select"
    box = Box(kind, lines, node)
    box.width, box.height = _text_width(lines) + 2 * PADDING, 18.0 * len(lines) + 16
    return box


def _group(word: str, region: Region, labels: Labels) -> Box:
    return _around(Box("side", [word]), picture_of(region, labels))


def _around(box: Box, inner: Picture) -> Box:
    """Make the box hold a picture, below its header."""
    box.inner = inner
    box.width = max(inner.width, _text_width(box.lines)) + 2 * PADDING
    box.height = inner.height + HEADER + PADDING
    inner.shift((box.width - inner.width) / 2, HEADER)
    return box


def _framed(box: Box, groups: list[Box]) -> Box:
    """Make the box hold groups side by side, below its header."""
    x = PADDING
    for group in groups:
        group.shift(x, HEADER)
        x += group.width + PADDING
    box.groups = groups
    box.width = max(x, _text_width(box.lines) + 2 * PADDING)
    box.height = HEADER + max(group.height for group in groups) + PADDING
    return box


def _text_width(lines: Sequence[str]) -> float:
    return max(_CHARACTER * sum(2 if ord(sign) > 0x2E80 else 1 for sign in line) for line in lines)


def _layers(
    nodes: Sequence[Node], needs: dict[int, list[int]], box_by_id: dict[int, Box], picture: Picture
) -> tuple[list[list[Box]], list[tuple[Box, Box]]]:
    """The boxes by layer, lanes among them, and the links between neighbouring layers."""
    rank: dict[int, int] = {}
    for node in nodes:  # each stands after what it needs
        rank[node.id] = 1 + max((rank[needed] for needed in needs[node.id]), default=-1)
    layers: list[list[Box]] = [[] for _ in range(1 + max(rank.values(), default=-1))]
    for node in nodes:
        layers[rank[node.id]].append(box_by_id[node.id])
    links = []
    for node in nodes:
        for needed in needs[node.id]:
            lanes = [Box("lane") for _ in range(rank[needed] + 1, rank[node.id])]
            for at, lane in enumerate(lanes, start=rank[needed] + 1):
                layers[at].append(lane)
            picture.lanes[needed, node.id] = lanes
            chain = [box_by_id[needed], *lanes, box_by_id[node.id]]
            links += list(pairwise(chain))
    return layers, links


def _neighbours(links: list[tuple[Box, Box]]) -> tuple[dict[int, list[Box]], dict[int, list[Box]]]:
    above: dict[int, list[Box]] = {}
    below: dict[int, list[Box]] = {}
    for upper, lower in links:
        above.setdefault(id(lower), []).append(upper)
        below.setdefault(id(upper), []).append(lower)
    return above, below


def _order(layers: list[list[Box]], links: list[tuple[Box, Box]]) -> None:
    """Sort each layer by the mean place of the neighbours above, then below, a few times."""
    above, below = _neighbours(links)
    for sweep in range(_SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        place = {id(box): (i + 0.5) / len(layer) for layer in layers for i, box in enumerate(layer)}
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            mean = {
                id(box): sum(place[id(other)] for other in others) / len(others) if others else place[id(box)]
                for box in layer
                for others in [neighbours.get(id(box), [])]
            }
            layer.sort(key=lambda box, mean=mean: mean[id(box)])  # type: ignore[misc]
            place.update({id(box): (i + 0.5) / len(layer) for i, box in enumerate(layer)})


def _place(layers: list[list[Box]], links: list[tuple[Box, Box]], picture: Picture) -> None:
    """Give every box its place: first packed and centred, then drawn towards its neighbours."""
    y = 0.0
    for layer in layers:
        height = max(box.height for box in layer)
        x = 0.0
        for box in layer:
            box.height = height if box.kind == "lane" else box.height
            box.above = box.below = (height - box.height) / 2
            box.shift(x - box.x, y + box.above - box.y)
            x += box.width + GAP_X
        for box in layer:
            box.shift((GAP_X - x) / 2, 0)
        y += height + GAP_Y
    above, below = _neighbours(links)
    for sweep in range(_SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            _draw_towards(layer, neighbours)
    boxes = [box for layer in layers for box in layer]
    left = min((box.x for box in boxes), default=0.0)
    for box in boxes:
        box.shift(-left, 0)
    picture.width = max((box.x + box.width for box in boxes), default=0.0)
    picture.height = max(0.0, y - GAP_Y)


def _draw_towards(layer: list[Box], neighbours: dict[int, list[Box]]) -> None:
    wanted = [
        sum(other.middle for other in others) / len(others) if others else box.middle
        for box in layer
        for others in [neighbours.get(id(box), [])]
    ]
    lefts: list[float] = []
    for box, middle in zip(layer, wanted, strict=True):
        left = middle - box.width / 2
        if lefts:
            left = max(left, lefts[-1] + layer[len(lefts) - 1].width + GAP_X)
        lefts.append(left)
    # The boxes were only ever pushed to the right; half of that goes back.
    pushed = sum(left + box.width / 2 - middle for left, box, middle in zip(lefts, layer, wanted, strict=True)) / len(
        layer
    )
    for box, left in zip(layer, lefts, strict=True):
        box.shift(left - pushed - box.x, 0)

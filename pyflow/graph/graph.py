"""A traced pipeline as one value, which draws itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyflow.graph.nodes import CallNode, Location, Node, Region
from pyflow.late import late

if TYPE_CHECKING:
    from pyflow.graph import drawing, svg
else:
    # Nobody draws a graph that just runs.
    drawing = late("pyflow.graph.drawing")
    svg = late("pyflow.graph.svg")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a pipeline."""

    name: str
    annotation: str
    """As text, for listings."""
    default: object = None
    is_required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Graph:
    """A traced pipeline: live Python objects, ready to be drawn or packed."""

    name: str
    region: Region
    parameters: tuple[Parameter, ...] = ()
    on_exit: CallNode | None = None
    """Called when the run has ended, with its outcome as ``Input(0)``."""
    parallelism: int | None = None
    """How many tasks may run at once; None: as many as the place allows."""
    fail_fast: bool = True
    at: Location

    def walk(self) -> Iterator[Node]:
        """All nodes of the body, in the order of the trace."""
        return self.region.walk()

    def walk_all(self) -> Iterator[Node]:
        """All nodes of the body, and behind them the exit handler."""
        yield from self.walk()
        if self.on_exit is not None:
            yield self.on_exit

    def asking_for_packages(self) -> list[CallNode]:
        """The calls that ask for packages of their own."""
        return [n for n in self.walk_all() if isinstance(n, CallNode) and n.options.packages is not None]

    def __repr__(self) -> str:
        return f"<Graph {self.name!r} of {sum(1 for _ in self.walk())} nodes>"

    def __str__(self) -> str:
        return drawing.to_text(self.name, self.region)

    def to_mermaid(self, *, has_store: bool = False) -> str:
        """The graph in the language of Mermaid, which Markdown pages and notebooks draw.

        Args:
            has_store: Draw what lies in the store between those who make it and those who use it.
        """
        return drawing.to_mermaid(self.name, self.region, self.on_exit, has_store=has_store)

    def _repr_html_(self) -> str:
        """A picture for a notebook, whole in itself: nothing is fetched and nothing runs in the browser."""
        return svg.to_html(self.name, self.region)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002
        return {"text/html": self._repr_html_(), "text/plain": str(self)}

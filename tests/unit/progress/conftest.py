"""Packed graphs, and a counter that is told a story."""

from __future__ import annotations

import pytest
from unit.progress.story import Story, nested, packed, train

from pyflow.packed import PackedGraph
from pyflow.progress import Counter


@pytest.fixture
def train_graph() -> PackedGraph:
    return packed(train, 3)


@pytest.fixture
def nested_graph() -> PackedGraph:
    return packed(nested, 2)


@pytest.fixture
def counted_run(train_graph):
    """A counter and the story that it is told."""
    counter = Counter(train_graph, "run-1")
    return counter, Story(train_graph, counter.add)

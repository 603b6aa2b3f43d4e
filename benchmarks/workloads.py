"""What is measured: the workloads, the peers, and the figures to reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ARRAY_ITEMS = 32 << 20
"""Float64 numbers in 256 MiB."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One piece of work that every peer does."""

    name: str
    title: str
    request: str
    """What peers are asked for."""
    forms: tuple[str, ...]
    """What pyflow is asked for: there may be several ways to write it."""
    size: int
    per_task: bool
    rounds: int
    peers: tuple[str, ...]
    expected: Callable[[int, int], object]
    """The value for a size and a seed."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """By peer, the ratio of pyflow's time to its own that is to be reached."""


@dataclass(frozen=True, kw_only=True)
class PeerPlan:
    """How one peer is measured."""

    name: str
    title: str
    most_rounds: int = 100
    """Slow peers get few rounds."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """By workload, a reduced size."""
    by_difference: bool = False
    """A task's cost is (time of n tasks - time of one) / (n - 1): a run's own start does not count against the peer."""


def chain_value(size: int, seed: int) -> int:
    """Value of the chain."""
    return seed + size


def fan_value(size: int, seed: int) -> int:
    """Value of the fan."""
    return sum(number * number for number in range(seed, seed + size))


def array_value(size: int, seed: int) -> float:
    """Value of the array's road: the sum of seed + 1 … seed + size."""
    return float(size * seed + size * (size + 1) // 2)


ALL = ("pool", "loky", "ray", "redun", "metaflow", "kfp")
FAST = ("pool", "loky", "ray")

PEERS = (
    PeerPlan(name="pool", title="process pool"),
    PeerPlan(name="loky", title="loky"),
    PeerPlan(name="ray", title="Ray", most_rounds=7),
    PeerPlan(name="redun", title="redun", most_rounds=3, by_difference=True),
    PeerPlan(name="metaflow", title="Metaflow", most_rounds=3, sizes={"chain": 5, "fan": 8}, by_difference=True),
    PeerPlan(name="kfp", title="KFP local", most_rounds=5, sizes={"chain": 5, "fan": 8}),
)

WORKLOADS = (
    Workload(
        name="chain",
        title="Chain of 50 small tasks",
        request="chain",
        forms=("chain",),
        size=50,
        per_task=True,
        rounds=15,
        peers=ALL,
        expected=chain_value,
        limits={"pool": 2.0},
    ),
    Workload(
        name="fan",
        title="200 small tasks and a join",
        request="fan",
        forms=("fan_map", "fan_calls"),
        size=200,
        per_task=True,
        rounds=15,
        peers=ALL,
        expected=fan_value,
        limits={"ray": 1.0, "loky": 1.2},
    ),
    Workload(
        name="fan-10000",
        title="10,000 small tasks and a join",
        request="fan",
        forms=("fan_map", "fan_calls"),
        size=10_000,
        per_task=True,
        rounds=2,
        peers=FAST,
        expected=fan_value,
    ),
    Workload(
        name="array",
        title="256 MiB array through three tasks",
        request="array",
        forms=("array",),
        size=ARRAY_ITEMS,
        per_task=False,
        rounds=5,
        peers=ALL,
        expected=array_value,
        limits={"pool": 2.0},
    ),
)

HELLO_LIMITS = {"loky": 1.3}
HELLO_ROUNDS = 7
IMPORT_LIMIT_S = 0.08
IMPORT_ROUNDS = 15
FORBIDDEN_IMPORTS = ("boto3", "botocore", "docker", "hera", "numpy", "pandas", "rich")
ARRAY_MEMORY_LIMIT = 0.1
SCALING_LIMIT = 1.1
TRACE_AND_PACK_LIMIT_US = 50.0

"""What an editor knows about tasks and pipelines; mypy accepts every line."""

from collections.abc import Callable

from pyflow import Run, each, pipeline, task
from typing_extensions import assert_type


@task
def fit(df: str, lr: float = 0.1) -> int:
    """Fit."""
    return len(df)


@task(cpus=2, memory="4Gi", retries=2, backoff="2s", retry_on=(ConnectionError,), timeout="30m", name="scored")
def score(model: int) -> float:
    return 1.0 / model


@pipeline
def train(path: str, rounds: int = 3) -> int:
    return fit(path, 0.1)


@pipeline(order="calls", defaults={"retries": 2}, fail_fast=False)
def grouped(path: str) -> tuple[int, float]:
    model = train(path)
    return model, score(model)


assert_type(fit("a", 0.1), int)
assert_type(fit("a", lr=0.1), int)
assert_type(score(3), float)
assert_type(fit.map(["a", "b"]), list[int])
assert_type(fit.map(["a", "b"], lr=each([0.1, 0.2])), list[int])
assert_type(score.map(fit.map(["a"])), list[float])
assert_type(fit.with_options(memory="8Gi")("a", 0.1), int)
assert_type(fit.with_options(batch=50).map(["a"]), list[int])
assert_type(fit.after(score(1))("a"), int)
assert_type(fit.fn("a", 0.1), int)

assert_type(train("p"), int)
assert_type(train("p", rounds=5), int)
assert_type(grouped("p"), tuple[int, float])
assert_type(train.with_options(executor="inprocess", parallelism=2)("p"), int)
assert_type(train.map(["p", "q"]), list[int])
run: Run = train.submit("p")
some_task: Callable[[str, float], int] = fit

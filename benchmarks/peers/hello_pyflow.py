#!/usr/bin/env python3
"""One task on pyflow's default executor, as a whole program."""

from pyflow import pipeline, task


@task
def hello(name: str) -> str:
    """Greet."""
    return f"hello {name}"


@pipeline
def main(name: str) -> str:
    """One task."""
    return hello(name)


if __name__ == "__main__":
    print(main("world"))

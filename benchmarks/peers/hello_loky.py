#!/usr/bin/env python3
"""One task on loky, as a whole program."""

from loky import get_reusable_executor


def hello(name: str) -> str:
    """Greet."""
    return f"hello {name}"


if __name__ == "__main__":
    print(get_reusable_executor().submit(hello, "world").result())

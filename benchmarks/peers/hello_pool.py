#!/usr/bin/env python3
"""One task in a process pool, as a whole program."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor


def hello(name: str) -> str:
    """Greet."""
    return f"hello {name}"


if __name__ == "__main__":
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        print(pool.submit(hello, "world").result())

#!/usr/bin/env python3
"""One task on Ray, as a whole program."""

import ray


@ray.remote
def hello(name: str) -> str:
    """Greet."""
    return f"hello {name}"


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    print(ray.get(hello.remote("world")))
    ray.shutdown()

#!/usr/bin/env python3
"""One task on redun with a local process, as a whole program."""

from redun import Scheduler, task
from redun.config import Config

redun_namespace = "hello"


@task()
def hello(name: str) -> str:
    """Greet."""
    return f"hello {name}"


if __name__ == "__main__":
    executor = {"type": "local", "mode": "process", "max_workers": "2"}
    scheduler = Scheduler(config=Config({"backend": {"db_uri": "sqlite:///:memory:"}, "executors.default": executor}))
    scheduler.load()
    print(scheduler.run(hello("world")))

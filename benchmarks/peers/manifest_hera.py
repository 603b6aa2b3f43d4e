#!/usr/bin/env python3
"""Hera by hand: a fan-in of as many tasks as the argument says, one template; prints seconds and bytes as JSON.

Argo takes 200 tasks in a DAG; beyond that this manifest is measured, though no cluster with the full CRDs would take it.
"""

import json
import sys
import time

from hera.workflows import DAG, Container, Parameter, Task, Workflow


def main(count: int) -> None:
    """Build once and print what it took."""
    start = time.perf_counter()
    with Workflow(generate_name="fan-", entrypoint="main") as workflow:
        square = Container(
            name="square", image="python:3.11-slim", command=["python", "-m", "job"], args=["{{inputs.parameters.x}}"],
            inputs=[Parameter(name="x")],
        )  # fmt: skip
        with DAG(name="main"):
            last = Task(name="total", template=square, arguments={"x": "all"})
            for index in range(count):
                Task(name=f"t{index}", template=square, arguments={"x": index}) >> last
    text = json.dumps(workflow.to_dict(), separators=(",", ":"))
    print(json.dumps({"seconds": time.perf_counter() - start, "bytes": len(text)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))

#!/usr/bin/env python3
"""One task on KFP's local runner, as a whole program."""

from kfp import dsl, local


@dsl.component(install_kfp_package=False)
def hello(name: str) -> str:
    """Greet."""
    return f"hello {name}"


if __name__ == "__main__":
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root="outputs")
    print(hello(name="world").output)

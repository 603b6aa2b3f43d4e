"""Look at the manifest without a cluster, submit, look at the run from elsewhere, by whichever way there is to the cluster."""

import json
import os

from pyflow import load_run, pipeline, task


@task
def double(x: int) -> int:
    print(f"doubling {x}")
    return 2 * x


@pipeline
def quadruple(x: int = 10):
    return double(double(x))


if __name__ == "__main__":
    manifest = quadruple.compile(10, target="argo")
    print(f"{manifest['kind']}: {len(json.dumps(manifest))} bytes, {len(manifest['spec']['templates'])} templates")

    print("by", "the Argo Server" if os.environ.get("ARGO_SERVER") else "the Kubernetes API")
    run = quadruple.submit(10)
    print(run.id == load_run(run.id).id)  # another process finds it by its id
    print(run.result())
    print(run.logs("double").strip())

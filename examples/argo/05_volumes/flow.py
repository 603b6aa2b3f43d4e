"""A volume that the cluster provides, in a container and in a Python task; and scratch space."""

from pathlib import Path

from pyflow import Volume, container, pipeline, task

SHARED = {"/mnt/vol": Volume.named("shared-data")}


@container(image="busybox:1.36", volumes=SHARED, stdout=True)
def show():
    return ["cat", "/mnt/vol/shared-data/test-read.txt"]


@task(volumes={**SHARED, "/scratch/big": Volume.scratch("64Mi")})
def count() -> tuple[int, bool]:
    """How many lines the file has, and whether the volume can be written to."""
    text = Path("/mnt/vol/shared-data/test-read.txt").read_text()
    Path("/scratch/big/copy.txt").write_text(text)
    try:
        Path("/mnt/vol/shared-data/new.txt").write_text("x")
    except OSError:
        return len(text.splitlines()), False
    return len(text.splitlines()), True


@pipeline
def volumes():
    return show(), count()


if __name__ == "__main__":
    text, (lines, is_writable) = volumes()
    print(text.strip())
    print(lines, "line, writable:", is_writable)

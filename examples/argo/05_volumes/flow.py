"""Volumes of every kind: one that the cluster provides, a claim, a Secret, a config map, a folder of the node, scratch space."""

from pathlib import Path

from pyflow import Volume, container, pipeline, task

SHARED = {"/mnt/vol": Volume.named("shared-data")}
SETTINGS = {
    "/etc/bands": Volume.config("bands"),
    "/etc/catalog": Volume.secret("catalog"),
    "/mnt/node": Volume.host("/etc"),
}


@container(image="busybox:1.36", volumes=SHARED, stdout=True)
def show():
    return ["cat", "/mnt/vol/shared-data/test-read.txt"]


@task(
    volumes={**SHARED, "/mnt/scenes": Volume.claim("scenes", read_only=False), "/scratch/big": Volume.scratch("64Mi")}
)
def keep() -> tuple[int, bool]:
    """Copy a file into the claim; how many lines it has, and whether the volume that it came from can be written to."""
    text = Path("/mnt/vol/shared-data/test-read.txt").read_text()
    Path("/scratch/big/copy.txt").write_text(text)
    Path("/mnt/scenes/copy.txt").write_text(Path("/scratch/big/copy.txt").read_text())
    try:
        Path("/mnt/vol/shared-data/new.txt").write_text("x")
    except OSError:
        return len(text.splitlines()), False
    return len(text.splitlines()), True


@task(volumes={**SETTINGS, "/mnt/scenes": Volume.claim("scenes")})
def read() -> tuple[str, str, str, bool]:
    """What the claim keeps, a value of the config map, one of the Secret, and whether the node's folder is there."""
    kept = Path("/mnt/scenes/copy.txt").read_text()
    bands, user = Path("/etc/bands/order").read_text(), Path("/etc/catalog/user").read_text()
    return kept, bands, user, Path("/mnt/node/hostname").exists()


@pipeline
def volumes():
    kept = keep()
    return show(), kept, read.after(kept)()


if __name__ == "__main__":
    text, (lines, is_writable), (again, bands, user, is_node) = volumes()
    print(text.strip())
    print(lines, "line, writable:", is_writable)
    print("kept in the claim:", again == text)
    print("bands:", bands, "/ user:", user, "/ the node's folder:", is_node)

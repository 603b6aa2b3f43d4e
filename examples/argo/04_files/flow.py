"""Files and folders between containers and Python tasks, at whatever path each side wants them."""

from pathlib import Path

from pyflow import container, pipeline, task


@container(image="busybox:1.36", outputs={"hello": "/tmp/hello.txt"})
def create():
    return ["sh", "-c", "echo Hello >> /tmp/hello.txt"]


@container(image="busybox:1.36", inputs={"message": "/tmp/artifact/hello.txt"}, stdout=True)
def read(message: Path):
    return ["cat", message]


@task
def shout(message: Path) -> Path:
    """A Python task takes the container's file, and hands a folder over."""
    folder = Path("loud")
    folder.mkdir()
    (folder / "first.txt").write_text(message.read_text().upper())
    (folder / "second.txt").write_text(message.read_text().strip() + "!\n")
    return folder


@container(image="busybox:1.36", inputs={"folder": "/data/texts"}, stdout=True)
def join(folder: Path):
    return ["sh", "-c", f"cat {folder}/*.txt"]


@pipeline
def files():
    message = create()
    return read(message), join(shout(message))


if __name__ == "__main__":
    first, joined = files()
    print(repr(first), repr(joined))

"""The same by hand with Hera: a mount for each template, and what is to be read-only has to be said."""

from hera.workflows import DAG, Container, EmptyDirVolume, Script, Task, Workflow
from hera.workflows import models as m

with Workflow(
    generate_name="volumes-",
    namespace="team",
    entrypoint="main",
    service_account_name="workflow",
) as w:
    show = Container(
        name="show",
        image="busybox:1.36",
        command=["cat", "/mnt/vol/shared-data/test-read.txt"],
        volume_mounts=[m.VolumeMount(name="shared-data", mount_path="/mnt/vol", read_only=True)],
    )
    count = Script(
        name="count",
        image="python:3.11-slim",
        command=["python"],
        volumes=[EmptyDirVolume(name="big", mount_path="/scratch/big", size_limit="64Mi")],
        volume_mounts=[m.VolumeMount(name="shared-data", mount_path="/mnt/vol", read_only=True)],
        source="""
from pathlib import Path
text = Path("/mnt/vol/shared-data/test-read.txt").read_text()
Path("/scratch/big/copy.txt").write_text(text)
try:
    Path("/mnt/vol/shared-data/new.txt").write_text("x")
    is_writable = True
except OSError:
    is_writable = False
print(len(text.splitlines()), is_writable)
""",
    )
    with DAG(name="main"):
        Task(name="show", template=show)
        Task(name="count", template=count)

MANIFEST = w.to_dict()

if __name__ == "__main__":
    w.create()

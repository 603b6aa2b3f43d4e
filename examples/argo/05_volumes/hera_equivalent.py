"""The same by hand with Hera: a mount for each template, and what is to be read-only has to be said."""

from hera.workflows import (
    DAG,
    ConfigMapVolume,
    Container,
    EmptyDirVolume,
    ExistingVolume,
    HostPathVolume,
    Script,
    SecretVolume,
    Task,
    Workflow,
)
from hera.workflows import models as m

SHARED = m.VolumeMount(name="shared-data", mount_path="/mnt/vol", read_only=True)

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
        volume_mounts=[SHARED],
    )
    keep = Script(
        name="keep",
        image="python:3.11-slim",
        command=["python"],
        volumes=[
            ExistingVolume(name="scenes", claim_name="scenes", mount_path="/mnt/scenes"),
            EmptyDirVolume(name="big", mount_path="/scratch/big", size_limit="64Mi"),
        ],
        volume_mounts=[SHARED],
        source="""
from pathlib import Path
text = Path("/mnt/vol/shared-data/test-read.txt").read_text()
Path("/scratch/big/copy.txt").write_text(text)
Path("/mnt/scenes/copy.txt").write_text(Path("/scratch/big/copy.txt").read_text())
try:
    Path("/mnt/vol/shared-data/new.txt").write_text("x")
    is_writable = True
except OSError:
    is_writable = False
print(len(text.splitlines()), is_writable)
""",
    )
    read = Script(
        name="read",
        image="python:3.11-slim",
        command=["python"],
        volumes=[
            ExistingVolume(name="scenes", claim_name="scenes", mount_path="/mnt/scenes", read_only=True),
            ConfigMapVolume(name="bands", mount_path="/etc/bands", read_only=True),
            SecretVolume(name="catalog", secret_name="catalog", mount_path="/etc/catalog", read_only=True),  # noqa: S106  its name
            HostPathVolume(name="node", path="/etc", mount_path="/mnt/node", read_only=True),
        ],
        source="""
from pathlib import Path
print(Path("/mnt/scenes/copy.txt").read_text())
print(Path("/etc/bands/order").read_text(), Path("/etc/catalog/user").read_text())
print(Path("/mnt/node/hostname").exists())
""",
    )
    with DAG(name="main"):
        Task(name="show", template=show)
        Task(name="keep", template=keep) >> Task(name="read", template=read)

MANIFEST = w.to_dict()

if __name__ == "__main__":
    w.create()

"""The same by hand with Hera: an artifact on each side of each edge, with its own path, and tars in between."""

from hera.workflows import DAG, Artifact, Container, Script, Task, Workflow

with Workflow(generate_name="files-", namespace="team", entrypoint="main", service_account_name="workflow") as w:
    create = Container(
        name="create",
        image="busybox:1.36",
        command=["sh", "-c", "echo Hello >> /tmp/hello.txt"],
        outputs=[Artifact(name="hello", path="/tmp/hello.txt")],
    )
    read = Container(
        name="read",
        image="busybox:1.36",
        command=["cat", "/tmp/artifact/hello.txt"],
        inputs=[Artifact(name="message", path="/tmp/artifact/hello.txt")],
    )
    shout = Script(
        name="shout",
        image="python:3.11-slim",
        command=["python"],
        inputs=[Artifact(name="message", path="/tmp/message.txt")],
        outputs=[Artifact(name="folder", path="/tmp/loud")],
        source="""
from pathlib import Path
message = Path("/tmp/message.txt")
folder = Path("/tmp/loud")
folder.mkdir()
(folder / "first.txt").write_text(message.read_text().upper())
(folder / "second.txt").write_text(message.read_text().strip() + "!\\n")
""",
    )
    join = Container(
        name="join",
        image="busybox:1.36",
        command=["sh", "-c", "cat /data/texts/*.txt"],
        inputs=[Artifact(name="folder", path="/data/texts")],
    )
    with DAG(name="main"):
        made = Task(name="create", template=create)
        seen = Task(
            name="read",
            template=read,
            arguments=[Artifact(name="message", from_="{{tasks.create.outputs.artifacts.hello}}")],
        )
        loud = Task(
            name="shout",
            template=shout,
            arguments=[Artifact(name="message", from_="{{tasks.create.outputs.artifacts.hello}}")],
        )
        joined = Task(
            name="join",
            template=join,
            arguments=[Artifact(name="folder", from_="{{tasks.shout.outputs.artifacts.folder}}")],
        )
        made >> [seen, loud]
        loud >> joined

MANIFEST = w.to_dict()

if __name__ == "__main__":
    w.create()

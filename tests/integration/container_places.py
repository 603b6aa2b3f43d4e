"""Container tasks whose files lie in places that are not free, or not where they seem to; the same on every executor."""

import tempfile
from pathlib import Path

from pyflow import container, pipeline, task

IMAGE = "busybox:1.36"


@task
def scene() -> Path:
    folder = Path(tempfile.mkdtemp(), "scene")
    (folder / "sub").mkdir(parents=True)
    (folder / "b.txt").write_text("b")
    (folder / "sub" / "c.txt").write_text("c")
    return folder


@container(image=IMAGE, outputs={"out": "/tmp/part.txt"})
def part(n: int):
    return ["sh", "-c", f"echo part {n} > /tmp/part.txt"]


@container(image=IMAGE, stdout=True)
def merge(*files: Path):
    return ["cat", *files]


@container(image=IMAGE, inputs={"a": "/tmp/x"}, stdout=True)
def twice(a: Path, b: Path):
    return ["cat", a, b]


@container(image=IMAGE, inputs={"a": "/work/a", "b": "/work/b"}, stdout=True)
def apart(a: Path, b: Path):
    return ["sh", "-c", 'echo more >> "$0"; cat "$0" "$1"', a, b]


@container(image=IMAGE, inputs={"folder": "/work/scene"}, outputs={"out": "/work/scene/listed.txt"})
def in_place(folder: Path):
    return ["sh", "-c", "ls /work/scene > /tmp/l; mv /tmp/l /work/scene/listed.txt"]


@container(image=IMAGE, inputs={"folder": "/tmp/scene"}, outputs={"out": "/tmp/scene/listed.txt"})
def in_place_of_scratch(folder: Path):
    return ["sh", "-c", "ls /tmp/scene > /tmp/l; mv /tmp/l /tmp/scene/listed.txt"]


@container(image=IMAGE, inputs={"folder": "/work/scene"}, outputs={"out": "/work/scene/sub/more/listed.txt"})
def deep_in_place(folder: Path):
    return ["sh", "-c", "find /work/scene -type f | sort > /tmp/l; mv /tmp/l /work/scene/sub/more/listed.txt"]


@container(image=IMAGE, inputs={"file": "/work/in/extra.txt", "folder": "/work/in"}, stdout=True)
def within(file: Path, folder: Path):
    return ["find", "/work/in", "-type", "f"]


@container(image=IMAGE, outputs={"file": "/work/link", "folder": "/work/links"})
def linked():
    return [
        "sh",
        "-c",
        "echo mine > /tmp/real; mkdir /tmp/reals; ln -s /tmp/real /work/link; ln -s ../tmp/reals /work/links",
    ]


@container(image=IMAGE, stdout=True)
def stands():
    return ["sh", "-c", "pwd; touch here 2>&1; cd /tmp && touch there"]


@container(image=IMAGE, stdout=True)
def last_words():
    return ["sh", "-c", "echo begun; printf end"]


@task
def text(file: Path) -> str:
    return file.read_text()


@task
def kept(file: Path, folder: Path) -> list[object]:
    return [file.name, file.read_text(), folder.name, folder.is_dir()]


@task
def made() -> Path:
    Path("made.txt").write_text("by a task")
    return Path("made.txt")


@task
def mode_of(file: Path) -> str:
    return oct(file.stat().st_mode & 0o777)


@container(image=IMAGE)
def nothing_like_it():
    return ["no-such-program", "at", "all"]


@pipeline
def lacking():
    return nothing_like_it()


@container(image=IMAGE)
def ends_silently():
    return ["sh", "-c", "exit 64"]


@pipeline
def silent():
    return ends_silently()


@pipeline
def places():
    one, links = part(1), linked()
    return {
        "merge": merge(one, part(2), part(3)),
        "twice": twice(one, one),
        "apart": apart(one, one),
        "in place": [text(in_place(scene())), text(in_place_of_scratch(scene()))],
        "deep": text(deep_in_place(scene())),
        "within": within(one, scene()),
        "stands": stands(),
        "linked": kept(links.file, links.folder),
        "last words": last_words(),
        "mode": mode_of(made()),
    }


EXPECTED = {
    "merge": "part 1\npart 2\npart 3\n",
    "twice": "part 1\npart 1\n",
    "apart": "part 1\nmore\npart 1\n",
    "in place": ["b.txt\nsub\n"] * 2,
    "deep": "/work/scene/b.txt\n/work/scene/sub/c.txt\n",
    "within": {"/work/in/extra.txt", "/work/in/b.txt", "/work/in/sub/c.txt"},
    "stands": "/\ntouch: here: Read-only file system\n",
    "linked": ["link", "mine\n", "links", True],
    "last words": "begun\nend",
    "mode": "0o644",
}


@container(image=IMAGE, outputs={"out": "/work/link"})
def leads_to(target: str):
    return ["sh", "-c", 'ln -s "$0" /work/link', target]


@container(image=IMAGE, outputs={"out": "/tmp/folder/secret.txt"})
def leads_above(target: str):
    return ["sh", "-c", 'rm -r /tmp/folder && ln -s "$0" /tmp/folder', target]


@pipeline
def leading_out(file: str):
    return leads_to(file)


@pipeline
def leading_above(folder: str):
    return leads_above(folder)

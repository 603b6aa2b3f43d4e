"""Tasks of the tests for containers, in a module that their image can import."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pyflow import container, task


@task
def surroundings():
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)

    def can_write(path):
        try:
            Path(path, "probe").write_text("x")
        except OSError:
            return False
        return True

    Path("relative.txt").write_text("x")
    return {
        "uid": os.getuid(),
        "capabilities": int(status["CapEff"], 16) if os.getuid() else int(status["CapBnd"], 16),
        "no_new_privileges": status["NoNewPrivs"],
        "writable": [path for path in ("/", "/etc", "/usr", "/opt/pyflow", "/run/pyflow") if can_write(path)],
        "scratch": can_write("/tmp") and can_write(Path.home()),
        "socket": Path("/var/run/docker.sock").exists(),
        "variables": sorted(name for name in os.environ if name.startswith(("PYFLOW_", "LAW"))),
        "value": os.environ.get("COLOUR"),
    }


@task
def double(x):
    print("doubling", x, flush=True)
    return 2 * x


@task(timeout=1)
def slow():
    print("slow", flush=True)
    time.sleep(600)


@task(memory="64Mi")
def greedy():
    held = []
    while True:
        held.append(bytearray(8 * 2**20))
        time.sleep(0.2)  # so slow that it is looked at meanwhile


@container(image="busybox:1.36", outputs={"hello": "/tmp/hello.txt"})
def create(word):
    return ["sh", "-c", f"echo Hello {word} >> /tmp/hello.txt"]


@container(image="busybox:1.36", inputs={"message": "/tmp/artifact/hello.txt"}, stdout=True)
def read(message: Path):
    return ["cat", message]


@container(image="busybox:1.36", outputs={"folder": "/out/made", "list": "/var/spool/list"})
def split(source: Path):
    return ["sh", "-c", f"mkdir -p /out/made/sub && cp {source} /out/made/sub/copy && ls /out/made > /var/spool/list"]


@container(image="busybox:1.36")
def fail():
    return ["sh", "-c", "echo this is why >&2; exit 3"]


@task
def text_of(path: Path):
    return path.read_text()

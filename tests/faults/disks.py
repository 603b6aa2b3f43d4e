"""Attempts on small disks of this process's own: ``python -m faults.disks FULL READ_ONLY SEED`` within ``unshare --mount``.

Prints a line for each: the fault, and behind a tab why a promise was broken, if one was.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from faults.attempts import Attempt, Program, marker_file

PAGE = 4096


def main() -> None:
    """Try so many of each."""
    full, read_only, seed = map(int, sys.argv[1:])
    dice = random.Random(f"{seed} disks")
    with tempfile.TemporaryDirectory(prefix="faults-disk-") as name:
        disk, beside = Path(name) / "disk", Path(name)
        disk.mkdir()
        mount("-t", "tmpfs", "-o", "size=2M", "none", str(disk))
        try:
            program = Program.packed(str(disk / "store"), 20_000)
            for number in range(full):
                print("full disk", try_full(program, f"full-{number}", disk, beside, dice.randint(0, 10)), sep="\t")
            for number in range(read_only):
                print("read-only folder", try_read_only(program, f"ro-{number}", disk, beside), sep="\t")
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def mount(*words: str) -> None:
    """Call mount."""
    subprocess.run(["mount", *words], check=True)


def try_full(program: Program, run_id: str, disk: Path, beside: Path, pages: int) -> str:
    """Leave so many pages free, run an attempt, make room, run another."""
    program.forget_results()
    filler = disk / "filler"
    file = os.open(filler, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(file, bytes(PAGE))
    except OSError:
        os.close(file)
    with filler.open("r+b") as file:
        file.truncate(max(filler.stat().st_size - pages * PAGE, 0))
    with marker_file(beside) as marker:
        first = Attempt(program, run_id, 1, marker).wait()
        filler.unlink()
        return judged(program, run_id, first, marker, "full")


def try_read_only(program: Program, run_id: str, disk: Path, beside: Path) -> str:
    """Run an attempt on a disk that takes nothing, then on the same disk when it does."""
    program.forget_results()
    mount("-o", "remount,ro", str(disk))
    with marker_file(beside) as marker:
        first = Attempt(program, run_id, 1, marker).wait()
        mount("-o", "remount,rw", str(disk))
        return judged(program, run_id, first, marker, "ead-only")


def judged(program: Program, run_id: str, first: Attempt, marker: Path, word: str) -> str:
    """Why the first attempt did not end as promised, or the next one does not mend it."""
    if first.outcome is None:
        return f"the worker died with {first.status}"
    if not first.outcome.is_committed:
        error = first.outcome.error
        if error is None or word not in error.message:
            return f"the error does not say that the disk is {word}: {error and error.message}"
    for info in program.content.blobs.list(program.content.keys.blobs()):
        digest = info.key.rpartition("/")[2]
        program.content.read_blob(digest, info.size_bytes)
    second = Attempt(program, run_id, 2, marker).wait()
    return program.problem(run_id, second.outcome)


if __name__ == "__main__":
    main()

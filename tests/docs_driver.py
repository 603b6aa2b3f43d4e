"""Execute the blocks of one page in this process, as ``__main__``; ``docs_runner.py`` starts it.

    python docs_driver.py PLAN

PLAN is JSON: a list of blocks. For each block that finished, a line of ``.results.jsonl`` says what it
printed, by itself or through processes it started, and the name of the error or the exit code it ended
with. The first block that ends other than it should is the last.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any


def main() -> None:
    """Run the plan."""
    folder = Path.cwd()
    blocks = json.loads(Path(sys.argv[1]).read_text())
    script = _write_script(folder / "page.py", blocks)
    page = ModuleType("__main__")
    page.__file__ = str(script)
    sys.modules["__main__"] = page
    sys.argv = [str(script)]
    sys.path[0] = str(folder)
    for block in blocks:
        printed, error = _captured(block, page, folder / ".printed")
        with Path(folder / ".results.jsonl").open("a") as results:
            results.write(json.dumps({"printed": printed, "error": error}) + "\n")
        if error != (block["directives"].get("raises") or block["directives"].get("exits") or ""):
            break


def _write_script(path: Path, blocks: list[dict[str, Any]]) -> Path:
    """All python blocks in one file, each on the lines it has in the page, so that sources can be found."""
    lines: list[str] = []
    for block in blocks:
        if block["language"] == "python" and "file" not in block["directives"]:
            lines += [""] * (block["line"] - 1 - len(lines)) + block["text"].splitlines()
    path.write_text("\n".join(lines) + "\n")
    return path


def _captured(block: dict[str, Any], page: ModuleType, target: Path) -> tuple[str, str]:
    """What a block prints on both streams, and how it ended. Children write to the same file."""
    kept = os.dup(1), os.dup(2)
    target.write_text("")
    with target.open("ab") as stream:  # for appending: several processes write to it
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    try:
        error = _run(block, page)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        for number, saved in zip((1, 2), kept, strict=True):
            os.dup2(saved, number)
            os.close(saved)
    return target.read_text(errors="replace"), error


def _run(block: dict[str, Any], page: ModuleType) -> str:
    if "file" in block["directives"]:
        path = Path(block["directives"]["file"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block["text"])
        return ""
    if block["language"] == "python":
        return _run_python(block, page)
    code = subprocess.run(["bash", "-euo", "pipefail", "-c", block["text"]], check=False).returncode
    return str(code) if code else ""


def _run_python(block: dict[str, Any], page: ModuleType) -> str:
    source = "\n" * (block["line"] - 1) + block["text"]
    try:
        exec(compile(source, str(page.__file__), "exec"), page.__dict__)
    except BaseException as error:
        if "raises" in block["directives"]:
            print("".join(_told(error)), end="", file=sys.stderr)
        else:
            traceback.print_exc()
        return type(error).__name__
    return ""


def _told(error: BaseException) -> list[str]:
    """An error's message with its notes, which Python 3.10 leaves out."""
    notes = getattr(error, "__notes__", []) if sys.version_info < (3, 11) else []
    return [*traceback.format_exception_only(error), *(f"{note}\n" for note in notes)]


if __name__ == "__main__":
    main()

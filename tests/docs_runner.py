"""Run the code blocks of a Markdown page, in order, as a reader would.

A page runs in a folder that holds a copy of ``examples/``, with this environment's commands on PATH.
Its ``python`` blocks share one namespace, as the cells of a notebook do; ``sh`` blocks run with bash;
in a ``console`` block the lines behind ``$`` are run and the others are what they print.

What a block prints is compared with the ``text`` block below it, when nothing but a line that ends
in ``Output:``, or the comment ``<!-- output -->``, stands between them; ``...`` there stands for anything.
Comments in front of a block say more:

    <!-- not run: REASON -->    the block is left out
    <!-- file: NAME -->         the block is written to a file, whatever its language, and not run
    <!-- raises: NAME -->       the python block raises this; what is printed ends in the error's message
    <!-- exits: CODE -->        the sh block ends with this code

How the blocks are executed is in ``docs_driver.py``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

REPO = Path(__file__).parents[1]
TIME_LIMIT_S = 500
RUNNABLE = ("python", "sh", "console")

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\s*$")
_DIRECTIVE = re.compile(r"^\s*<!-- (?P<key>not run|file|raises|exits): (?P<value>.+) -->\s*$")
_OUTPUT_FOLLOWS = re.compile(r"(^|.*\s)\**Output:\**$|^<!-- output -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block, what the comments before it say, and what it should print."""

    language: str
    text: str
    line: int
    """Line of the page that its text starts on, counted from 1."""
    directives: dict[str, str] = field(default_factory=dict)
    expected: str | None = None

    @property
    def is_run(self) -> bool:
        """True for a block that is code and is neither left out nor only written to a file."""
        return self.language in RUNNABLE and not self.directives.keys() & {"not run", "file"}


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page, those that hold expected output joined to the ones that print it."""
    blocks: list[Block] = []
    between: list[str] = []
    lines = iter(enumerate(page.splitlines(), start=1))
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            between.append(line.strip())
            continue
        block = _read_block(fence, number, lines, between)
        if block.language == "text" and blocks and blocks[-1].is_run and _announces_output(between):
            blocks[-1] = Block(**{**asdict(blocks[-1]), "expected": block.text})
        else:
            blocks.append(_with_console_output(block))
        between = []
    return blocks


def run_page(page: Path, folder: Path, *, time_limit_s: float = TIME_LIMIT_S) -> list[str]:
    """Run a page in a folder and say what is wrong with it, one text per fault.

    Blocks behind a fault are not run: they would only fail for the same reason.
    """
    blocks = [block for block in blocks_of(page.read_text()) if block.is_run or "file" in block.directives]
    shutil.copytree(REPO / "examples", folder / "examples", ignore=shutil.ignore_patterns(".pyflow", "__pycache__"))
    plan = folder / ".plan.json"
    plan.write_text(json.dumps([asdict(block) for block in blocks]))
    printed, ended = _drive(plan, folder, time_limit_s)
    faults = []
    for block, result in zip(blocks, printed, strict=False):
        fault = _fault(block, result["printed"], result["error"])
        if fault is not None:
            faults.append(f"{page}:{block.line}: {fault}")
    if not faults and len(printed) < len(blocks):
        faults.append(f"{page}:{blocks[len(printed)].line}: the block did not finish: {ended}")
    return faults


def matches(expected: str, printed: str) -> bool:
    """True when the text is what was expected, ``...`` standing for anything; ends of lines don't count."""
    pattern = re.escape(_trimmed(expected)).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, _trimmed(printed), re.DOTALL) is not None


def _read_block(fence: re.Match[str], number: int, lines: Iterator[tuple[int, str]], before: list[str]) -> Block:
    indent = len(fence["indent"])
    text = []
    for _, line in lines:
        if line.strip() == "```":
            break
        text.append(line[indent:])
    return Block(fence["language"], "\n".join(text) + "\n", number + 1, _directives(before))


def _directives(before: list[str]) -> dict[str, str]:
    """The comments that stand directly before a block, blank lines aside."""
    found: dict[str, str] = {}
    for line in reversed([line for line in before if line]):
        if not line.startswith("<!--"):
            break
        match = _DIRECTIVE.match(line)
        if match is not None:
            found[match["key"]] = match["value"]
    return found


def _announces_output(between: list[str]) -> bool:
    said = [line for line in between if line]
    return len(said) == 1 and _OUTPUT_FOLLOWS.match(said[0]) is not None


def _with_console_output(block: Block) -> Block:
    if block.language != "console":
        return block
    lines = block.text.splitlines()
    commands = "".join(line[1:].strip() + "\n" for line in lines if line.startswith("$"))
    expected = "".join(line + "\n" for line in lines if not line.startswith("$"))
    return Block("console", commands, block.line, block.directives, expected)


def _drive(plan: Path, folder: Path, time_limit_s: float) -> tuple[list[dict[str, str]], str]:
    """What each block that finished printed, and how the process ended."""
    driver = Path(__file__).with_name("docs_driver.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYFLOW_")}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment["MPLBACKEND"] = "agg"
    process = subprocess.Popen(
        [sys.executable, driver, plan], cwd=folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        ended = f"the process ended with {process.wait(time_limit_s)}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        ended = f"the page took longer than {time_limit_s:g} s"
    results = folder / ".results.jsonl"
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else [], ended


def _fault(block: Block, printed: str, error: str) -> str | None:
    wanted = block.directives.get("raises") or block.directives.get("exits") or ""
    if wanted != error:
        return f"expected {wanted or 'no error'}, got {error or 'no error'}. It printed:\n{printed}"
    if block.expected is not None and not matches(block.expected, printed):
        return f"expected this:\n{block.expected}\nbut it printed:\n{printed}"
    return None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())

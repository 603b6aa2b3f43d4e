"""The command ``pyflow``: reads words, calls ``pyflow.api``, and prints for people or, with ``--json``, for programs.

Exit codes and what is said of errors: ``failures``.
"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Final

import click

from pyflow.cli.group import Group
from pyflow.version import VERSION

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS: Final = {
    "run": ("run", "Run a pipeline and print what it returns."),
    "submit": ("handing", "Start a run, and print its id without waiting for its end."),
    "compile": ("handing", "Write the manifest of a run on a cluster, without a cluster."),
    "deploy": ("handing", "Put a pipeline on a cluster for good."),
    "start": ("handing", "Start a run of a deployed pipeline, and print its id."),
    "ls": ("ls", "List runs, the newest first."),
    "show": ("show", "Show a run: states, times, sizes of results, errors."),
    "logs": ("results", "Print what the tasks of a run printed."),
    "result": ("results", "Print what a run or a task returned."),
    "graph": ("graph", "Draw a pipeline without running its tasks."),
    "check": ("check", "Load each task from the code that would be shipped alone."),
    "cancel": ("results", "Ask a run to end."),
    "verify": ("verify", "List what is wrong in a store."),
    "gc": ("gc", "Remove what no kept run refers to."),
    "env": ("env", "Choose packages for tasks, or show those of a run."),
    "store": ("store", "Look what a store can do; copy runs to another."),
    "argo": ("argo", "Print what an administrator applies once to a cluster."),
    "image": ("image", "Build, push or list the image that containers and pods run."),
    "doctor": ("doctor", "Look whether pyflow can work here, by trying."),
}
"""For each command its module, and what it does."""


@click.group(cls=Group, places=COMMANDS, context_settings={"help_option_names": ["--help", "-h"]})
@click.version_option(VERSION, prog_name="pyflow", message="%(prog)s %(version)s")
def cli() -> None:
    """Plain Python functions as tasks of a pipeline: run them, and see what became of it.

    \b
    Exit codes: 0 it worked; 1 a task failed, or a run was cancelled or lost;
    2 wrong usage, definition or setting; 3 the store, the executor or pyflow
    itself failed; 130 Ctrl-C.
    """  # noqa: D301  click reads the \b


def main() -> None:
    """Run the command that this process was started with."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that has no ✓ shows a ? instead; it must not end the command.
            with contextlib.suppress(ValueError):
                stream.reconfigure(errors="replace")
    cli.main(prog_name="pyflow")

"""The command ``pyflow`` as a whole: errors become messages and exit codes here, and nowhere else.

A command is loaded when it is called, so that ``pyflow --help`` does not wait for what it does not need.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from pyflow.cli.failures import BROKEN, INTERRUPTED, UserCodeError, exit_code_of, is_of_output, tell, warn_plainly


class Group(click.Group):
    """A group of commands that end as ``failures`` says.

    Args:
        places: For each command its module in this folder, and its help in one line.
    """

    def __init__(self, *args: Any, places: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands, in the order in which a newcomer meets them."""
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, loaded now."""
        if cmd_name not in self._places:
            return None
        module = importlib.import_module(f"{__package__}.{self._places[cmd_name][0]}")
        found: click.Command = getattr(module, cmd_name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that a command line names; of one that does not exist, the name that is nearest."""
        near = difflib.get_close_matches(args[0], self._places, n=1)
        if args[0] not in self._places and near and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in self._places.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; output that nothing can be written to any more is told in a sentence."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if not is_of_output(error):
                raise
            _leave_output()
            click.echo(f"Error: what this command prints could not be written: {error.strerror}.", err=True)
            sys.exit(BROKEN)

    def invoke(self, ctx: click.Context) -> Any:
        """Run one command."""
        warn_plainly()
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort) as error:
            click.echo(str(error) or "Interrupted.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from error
        except BrokenPipeError as error:
            # Whoever read our output has had enough, as ``pyflow ls | head`` does.
            _leave_output()
            raise click.exceptions.Exit(0) from error
        except (UserCodeError, Exception) as error:
            if is_of_output(error):
                raise
            tell(error)
            raise click.exceptions.Exit(exit_code_of(error)) from error


def _leave_output() -> None:
    """Let Python write no more to standard output, as it would at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

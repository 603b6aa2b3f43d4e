"""``python -m pyflow.cli``: the command, for where it is not on PATH."""

from pyflow.cli import main

main()

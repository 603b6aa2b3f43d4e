"""``python -m pyflow.runtime task …``: runs one task, or the items of one batch, and ends. See ``request``."""

from __future__ import annotations

import gc
import os
import sys

# What is loaded here stays, so that to look through it for garbage, a dozen times, is a twentieth of the start in vain.
gc.disable()

# ruff: noqa: E402
from pyflow.contract import ExitCode
from pyflow.errors import ConfigError
from pyflow.runtime.oneshot import leave_now
from pyflow.runtime.request import RUN_VARIABLE, invocations_asked
from pyflow.runtime.supervisor import exit_code_of, run_once


def main() -> int:
    """Run what the command line asks for; the answer is one of ``contract.ExitCode``, or 128 and a signal."""
    # The process of the task is forked from this one, and what it need not look at stays shared with it.
    gc.freeze()
    gc.enable()
    # What ``python -m`` puts on the path is the folder that the container happens to start in.
    sys.path[:] = [entry for entry in sys.path if entry not in {"", os.getcwd()}]
    try:
        invocations = invocations_asked(sys.argv[1:], os.environ.pop(RUN_VARIABLE, None))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return int(ExitCode.ENVIRONMENT)
    return exit_code_of(run_once(invocations))


if __name__ == "__main__":
    # All that matters is written, and to take an interpreter apart takes a tenth of what it took to start it.
    leave_now(main())

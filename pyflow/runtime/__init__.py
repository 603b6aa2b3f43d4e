"""What runs beside the author's code, in whatever place: small, and light to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow.late import late_names

if TYPE_CHECKING:
    from pyflow.runtime import pod_container, reasons, sharing
    from pyflow.runtime.attempts import (
        CANCELLED,
        KILLED,
        LOST,
        OUT_OF_MEMORY,
        TIMED_OUT,
        Heartbeat,
        is_lost,
        last_heartbeat,
        leave_outcome,
        left_outcome,
        lost_outcome,
        most_memory_told,
        out_of_memory_reason,
    )
    from pyflow.runtime.capture import Spool
    from pyflow.runtime.commands import PACKET_BYTES, command_of, invocation_in, packet_of
    from pyflow.runtime.execution import Site, execute
    from pyflow.runtime.isolation import surroundings
    from pyflow.runtime.processes import signal_tree, what_ended
    from pyflow.runtime.program import Place, Program
    from pyflow.runtime.request import (
        PARAMETERS_VARIABLE,
        RUN_LIMIT,
        RUN_VARIABLE,
        indices_word,
        run_in,
        run_variable,
        task_words,
        texts_given,
        writer_of,
    )
    from pyflow.runtime.resolve import EXIT_SLOT, Resolver
    from pyflow.runtime.scratch import temporary_folder
    from pyflow.runtime.screen import flush_python
    from pyflow.runtime.session import Session, open_home
    from pyflow.runtime.staging import (
        INPUTS,
        ContainerEnd,
        StagedContainer,
        brought,
        collect,
        committed_outcome,
        followed,
        move_into,
        not_staged,
        parents_of,
        stage,
    )
    from pyflow.runtime.wire import Messages, send
    from pyflow.runtime.worker import importing_module
else:
    __getattr__ = late_names(
        globals(),
        {
            "pyflow.runtime.attempts": "CANCELLED KILLED LOST OUT_OF_MEMORY TIMED_OUT Heartbeat is_lost last_heartbeat leave_outcome left_outcome lost_outcome most_memory_told out_of_memory_reason",
            "pyflow.runtime.capture": "Spool",
            "pyflow.runtime.commands": "PACKET_BYTES command_of invocation_in packet_of",
            "pyflow.runtime.execution": "Site execute",
            "pyflow.runtime.isolation": "surroundings",
            "pyflow.runtime.processes": "signal_tree what_ended",
            "pyflow.runtime.program": "Place Program",
            "pyflow.runtime.request": (
                "PARAMETERS_VARIABLE RUN_LIMIT RUN_VARIABLE indices_word run_in run_variable task_words texts_given writer_of"
            ),
            "pyflow.runtime.resolve": "EXIT_SLOT Resolver",
            "pyflow.runtime.scratch": "temporary_folder",
            "pyflow.runtime.screen": "flush_python",
            "pyflow.runtime.session": "Session open_home",
            "pyflow.runtime.staging": "INPUTS ContainerEnd StagedContainer brought collect committed_outcome followed move_into not_staged parents_of stage",
            "pyflow.runtime.wire": "Messages send",
            "pyflow.runtime.worker": "importing_module",
        },
    )

__all__ = [
    "CANCELLED",
    "EXIT_SLOT",
    "INPUTS",
    "KILLED",
    "LOST",
    "OUT_OF_MEMORY",
    "PACKET_BYTES",
    "PARAMETERS_VARIABLE",
    "RUN_LIMIT",
    "RUN_VARIABLE",
    "TIMED_OUT",
    "ContainerEnd",
    "Heartbeat",
    "Messages",
    "Place",
    "Program",
    "Resolver",
    "Session",
    "Site",
    "Spool",
    "StagedContainer",
    "brought",
    "collect",
    "command_of",
    "committed_outcome",
    "execute",
    "flush_python",
    "followed",
    "importing_module",
    "indices_word",
    "invocation_in",
    "is_lost",
    "last_heartbeat",
    "leave_outcome",
    "left_outcome",
    "lost_outcome",
    "most_memory_told",
    "move_into",
    "not_staged",
    "open_home",
    "out_of_memory_reason",
    "packet_of",
    "parents_of",
    "pod_container",
    "reasons",
    "run_in",
    "run_variable",
    "send",
    "sharing",
    "signal_tree",
    "stage",
    "surroundings",
    "task_words",
    "temporary_folder",
    "texts_given",
    "what_ended",
    "writer_of",
]

"""What runs beside the author's code, in whatever place: small, and light to import."""

from pyflow.runtime.capture import Spool
from pyflow.runtime.execute import Site, execute
from pyflow.runtime.failure import about_error
from pyflow.runtime.program import Place, Program
from pyflow.runtime.resolve import EXIT_SLOT, Resolver
from pyflow.runtime.session import Session, open_home
from pyflow.runtime.wire import Messages, message_in, packet_of, send
from pyflow.runtime.worker import command_of, importing_module

__all__ = [
    "EXIT_SLOT",
    "Messages",
    "Place",
    "Program",
    "Resolver",
    "Session",
    "Site",
    "Spool",
    "about_error",
    "command_of",
    "execute",
    "importing_module",
    "message_in",
    "open_home",
    "packet_of",
    "send",
]

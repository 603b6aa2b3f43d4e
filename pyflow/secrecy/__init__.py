"""What must not be written down: which values are secret, where they are looked up, and how they are kept out of the store."""

from pyflow.secrecy.find import SecretFinder, variable_of
from pyflow.secrecy.guard import Guard
from pyflow.secrecy.mask import Masker

__all__ = ["Guard", "Masker", "SecretFinder", "variable_of"]

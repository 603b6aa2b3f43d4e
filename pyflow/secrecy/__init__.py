"""What must not be written down: which values are secret, where they are looked up, and how they are kept out of the store."""

from pyflow.secrecy.find import PLACED, SecretFinder, variable_of
from pyflow.secrecy.guard import Guard
from pyflow.secrecy.mask import Masker

__all__ = ["PLACED", "Guard", "Masker", "SecretFinder", "variable_of"]

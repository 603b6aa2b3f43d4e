"""Local code as an importable archive, its fingerprint, and the proof that it imports elsewhere.

Nothing heavy is loaded with this folder: parsing, zip files and processes wait until they are used.
"""

from pyflow.bundle.archive import CodeBundle, install
from pyflow.bundle.discovery import discover, installed, is_by_value
from pyflow.bundle.fingerprint import fingerprint
from pyflow.bundle.importable import Missing, ShippedFunction, check_importable
from pyflow.bundle.imports import computed_imports

__all__ = [
    "CodeBundle",
    "Missing",
    "ShippedFunction",
    "check_importable",
    "computed_imports",
    "discover",
    "fingerprint",
    "install",
    "installed",
    "is_by_value",
]

"""Local code as an importable archive, its fingerprint, and the proof that it imports elsewhere.

Nothing heavy is loaded with this folder: parsing, zip files and processes wait until they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow.late import late_names

if TYPE_CHECKING:
    from pyflow.bundle.archive import CodeBundle, install
    from pyflow.bundle.discovery import discover, installed, is_by_value
    from pyflow.bundle.fingerprints import fingerprint
    from pyflow.bundle.importable import CleanPath, Missing, ShippedFunction, check_importable
    from pyflow.bundle.imports import computed_imports
    from pyflow.bundle.stray import missing_file_advice
    from pyflow.bundle.versions import installed_version
else:
    __getattr__ = late_names(
        globals(),
        {
            "pyflow.bundle.archive": "CodeBundle install",
            "pyflow.bundle.discovery": "discover installed is_by_value",
            "pyflow.bundle.fingerprints": "fingerprint",
            "pyflow.bundle.importable": "CleanPath Missing ShippedFunction check_importable",
            "pyflow.bundle.imports": "computed_imports",
            "pyflow.bundle.stray": "missing_file_advice",
            "pyflow.bundle.versions": "installed_version",
        },
    )

__all__ = [
    "CodeBundle",
    "Missing",
    "ShippedFunction",
    "CleanPath",
    "check_importable",
    "computed_imports",
    "discover",
    "fingerprint",
    "install",
    "installed",
    "installed_version",
    "is_by_value",
    "missing_file_advice",
]

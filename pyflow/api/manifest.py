"""What a cluster would be handed, as somebody in a notebook looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pyflow.late import late

if TYPE_CHECKING:
    import yaml

    from pyflow.executors import argo
else:
    argo = late("pyflow.executors.argo")
    yaml = late("yaml")

_DUMPERS: Final = ("Dumper", "SafeDumper", "CDumper", "CSafeDumper")


class Manifest(dict[str, Any]):
    """A manifest: a plain dictionary of plain JSON, which a notebook shows as a tree to open and close."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        super().__init__(manifest)
        # YAML writes a dictionary, and none of another class that nobody has told it of.
        for name in _DUMPERS:
            if hasattr(yaml, name):
                getattr(yaml, name).add_representer(Manifest, yaml.representer.SafeRepresenter.represent_dict)

    @property
    def expected(self) -> str:
        """How many pods and bytes a run is expected to take, in words."""
        return str(self["metadata"]["annotations"][argo.ESTIMATE])

    def _repr_json_(self) -> dict[str, Any]:
        return dict(self)

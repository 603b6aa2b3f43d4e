"""A manifest by Hera's models: every field has the name and the type that Argo knows, and nothing was dropped on the way.

Hera's generated models leave out what they do not know, without a word; so what comes out is compared with what went in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyflow.errors import PyflowError
from pyflow.jsontext import Json
from pyflow.late import late

if TYPE_CHECKING:
    import pydantic
    from hera.workflows import models
else:
    models = late("hera.workflows.models")
    pydantic = late("pydantic")

Template = dict[str, Any]


def verified(manifest: Template) -> Template:
    """The manifest, when Hera's models take every field of it as it is.

    Raises:
        PyflowError: A field is unknown to them, or of another type: an error in pyflow, or in a patch of the author's.
    """
    model: Any = {
        "Workflow": models.Workflow,
        "WorkflowTemplate": models.WorkflowTemplate,
        "CronWorkflow": models.CronWorkflow,
    }[manifest["kind"]]
    try:
        made = model.model_validate(manifest)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise PyflowError(f"The manifest has a field that Argo does not know so: {place}: {first['msg']}.") from error
    emitted = made.model_dump(by_alias=True, exclude_none=True, mode="json")
    lost = list(_lost(manifest, emitted, ""))
    if lost:
        raise PyflowError(f"Hera left these fields out of the manifest: {', '.join(lost[:10])}.")
    return manifest


def _lost(asked: Json, emitted: Json, path: str) -> Iterator[str]:
    if isinstance(asked, dict):
        for key, value in asked.items():
            if not isinstance(emitted, dict) or key not in emitted:
                yield f"{path}.{key}".lstrip(".")
            else:
                yield from _lost(value, emitted[key], f"{path}.{key}")
    elif isinstance(asked, list):
        if not isinstance(emitted, list) or len(emitted) != len(asked):
            yield path.lstrip(".")
        else:
            for index, (a, e) in enumerate(zip(asked, emitted, strict=True)):
                yield from _lost(a, e, f"{path}[{index}]")
    elif str(asked) != str(emitted):
        yield path.lstrip(".")

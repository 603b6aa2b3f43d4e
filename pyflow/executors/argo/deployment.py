"""The manifest of a run → a WorkflowTemplate that takes parameters, and a CronWorkflow that starts it by the clock."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from pyflow.errors import ExecutorError
from pyflow.executors.remote import Deployed
from pyflow.jsontext import Json
from pyflow.runtime import PARAMETERS_VARIABLE

# Base64 of all parameters with their values: no text of a user is read by Argo or Kubernetes on its way into a pod.
_ALL: Final = "{{=sprig.b64enc(workflow.parameters.json)}}"
_ABOUT: Final = "pyflow/deployed"
"""An annotation that says what pyflow must know to start it."""
_TRUTH: Final = ["true", "false"]
"""What Argo's own page lets a person choose from for a ``bool``."""


def template_of(manifest: dict[str, Json], deployed: Deployed) -> dict[str, Json]:
    """The template that is kept."""
    spec = dict(manifest["spec"])
    if deployed.parameters:
        spec["arguments"] = {"parameters": [_parameter(*one, deployed) for one in deployed.parameters]}
        spec["templates"] = [_with_parameters(template) for template in spec["templates"]]
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "generateName"}
    annotations = {**metadata.get("annotations", {}), _ABOUT: _packed(deployed)}
    return {
        **manifest,
        "kind": "WorkflowTemplate",
        "metadata": {**metadata, "name": deployed.name, "annotations": annotations},
        "spec": spec,
    }


def schedule_of(deployed: Deployed) -> dict[str, Json]:
    """What starts the template by the clock; one run waits for the one before."""
    spec: dict[str, Any] = {"workflowTemplateRef": {"name": deployed.name}}
    if deployed.scheduled:
        spec["arguments"] = {"parameters": [{"name": n, "value": v} for n, v in deployed.scheduled.items()]}
    cron: dict[str, Any] = {"schedules": [deployed.schedule], "concurrencyPolicy": "Forbid", "workflowSpec": spec}
    if deployed.timezone:
        cron["timezone"] = deployed.timezone
    return {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow", "metadata": {"name": deployed.name}, "spec": cron,
    }  # fmt: skip


def on_trial(schedule: Mapping[str, Json], template: Mapping[str, Json]) -> dict[str, Json]:
    """The same schedule with the template's text in the place of its name, so that it can be checked before the template is there."""
    cron = schedule["spec"]
    given = {one["name"]: one for one in cron["workflowSpec"].get("arguments", {}).get("parameters", [])}
    spec = dict(template["spec"])
    wanted = spec.get("arguments", {}).get("parameters", [])
    if wanted:
        spec["arguments"] = {"parameters": [{**one, **given.get(one["name"], {})} for one in wanted]}
    # A name of its own: the Kubernetes API refuses to make, even on trial, what is there.
    return {**schedule, "metadata": {"generateName": "pyflow-"}, "spec": {**cron, "workflowSpec": spec}}


def deployed_of(template: Json) -> Deployed:
    """What a template says of itself.

    Raises:
        ExecutorError: It is not one of pyflow's.
    """
    packed = (template["metadata"].get("annotations") or {}).get(_ABOUT)
    if not packed:
        raise ExecutorError(f"The template {template['metadata']['name']!r} was not put there by pyflow.")
    said = json.loads(base64.urlsafe_b64decode(packed))
    # A later pyflow may have written more.
    known = {name: value for name, value in said.items() if name in Deployed.__slots__}
    return Deployed(**{**known, "parameters": [tuple(one) for one in said["parameters"]]})


def _packed(deployed: Deployed) -> str:
    said = {name: getattr(deployed, name) for name in deployed.__slots__}
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()


def _parameter(name: str, annotation: str, has_default: bool, deployed: Deployed) -> dict[str, Json]:  # noqa: FBT001  one of a row
    told: dict[str, Json] = {"name": name, "description": annotation}
    if has_default:
        told["value"] = deployed.defaults[name]
    if annotation == "bool" and told.get("value", _TRUTH[0]) in _TRUTH:
        told["enum"] = _TRUTH
    return told


def _with_parameters(template: dict[str, Json]) -> dict[str, Json]:
    container = template.get("container") or {}
    env = container.get("env", [])
    if not any(variable["name"] == "PYFLOW_POD" for variable in env):
        return template  # the image of a container task has no use for them
    return {**template, "container": {**container, "env": [*env, {"name": PARAMETERS_VARIABLE, "value": _ALL}]}}

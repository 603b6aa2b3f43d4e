"""What users call: pipelines, runs, and where they are kept."""

from typing import TYPE_CHECKING

from pyflow.late import late_names

if TYPE_CHECKING:
    from pyflow.api.aside import carry_out_aside
    from pyflow.api.completeness import Fault, FunctionUse, find_faults, functions_in
    from pyflow.api.deploying import Deployment, load_deployment
    from pyflow.api.elsewhere import no_runs_text, no_store_text
    from pyflow.api.home import Workplace, open_workplace
    from pyflow.api.load import find_run, list_runs, load_run
    from pyflow.api.pipelines import Pipeline, PipelineArgs, RunArgs, pipeline
    from pyflow.api.probing import hello, probe
    from pyflow.api.run import Run
    from pyflow.api.start import Started, prepare
else:
    __getattr__ = late_names(
        globals(),
        {
            "pyflow.api.aside": "carry_out_aside",
            "pyflow.api.completeness": "Fault FunctionUse find_faults functions_in",
            "pyflow.api.deploying": "Deployment load_deployment",
            "pyflow.api.elsewhere": "no_runs_text no_store_text",
            "pyflow.api.home": "Workplace open_workplace",
            "pyflow.api.load": "find_run list_runs load_run",
            "pyflow.api.pipelines": "Pipeline PipelineArgs RunArgs pipeline",
            "pyflow.api.probing": "hello probe",
            "pyflow.api.run": "Run",
            "pyflow.api.start": "Started prepare",
        },
    )

__all__ = [
    "Deployment",
    "Fault",
    "FunctionUse",
    "Pipeline",
    "PipelineArgs",
    "Run",
    "RunArgs",
    "Started",
    "Workplace",
    "carry_out_aside",
    "find_faults",
    "find_run",
    "functions_in",
    "hello",
    "list_runs",
    "load_deployment",
    "load_run",
    "no_runs_text",
    "no_store_text",
    "open_workplace",
    "pipeline",
    "prepare",
    "probe",
]

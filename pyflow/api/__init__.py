"""What users call: pipelines, runs, and where they are kept."""

from pyflow.api.deploying import Deployment, load_deployment
from pyflow.api.elsewhere import no_runs_text
from pyflow.api.home import Workplace, open_workplace
from pyflow.api.load import list_runs, load_run
from pyflow.api.lookup import find_run
from pyflow.api.pipeline import Pipeline, PipelineArgs, RunArgs, pipeline
from pyflow.api.probe import hello, probe
from pyflow.api.run import Run
from pyflow.api.start import Started, carry_out_aside, detached_text, prepare

__all__ = [
    "Deployment",
    "Pipeline",
    "PipelineArgs",
    "Run",
    "RunArgs",
    "Started",
    "Workplace",
    "carry_out_aside",
    "detached_text",
    "find_run",
    "hello",
    "list_runs",
    "load_deployment",
    "load_run",
    "no_runs_text",
    "open_workplace",
    "pipeline",
    "prepare",
    "probe",
]

"""What users call: pipelines, runs, and where they are kept."""

from pyflow.api.home import Workplace, open_workplace
from pyflow.api.load import list_runs, load_run
from pyflow.api.pipeline import Pipeline, PipelineArgs, RunArgs, pipeline
from pyflow.api.run import Run
from pyflow.api.start import carry_out_aside, prepare

__all__ = [
    "Pipeline",
    "PipelineArgs",
    "Run",
    "RunArgs",
    "Workplace",
    "carry_out_aside",
    "list_runs",
    "load_run",
    "open_workplace",
    "pipeline",
    "prepare",
]

"""Plain Python functions as tasks of a pipeline, run here, in containers or on a cluster."""

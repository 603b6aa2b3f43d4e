"""What mypy must reject; the comment names the code of the error it has to give there."""

from pyflow import pipeline, task


@task(cpu=2)  # error: call-overload|call-arg
def misspelt() -> int:
    return 1


@task(cpus="many")  # error: call-overload|arg-type
def mistyped() -> int:
    return 1


@task
def fit(df: str, lr: float) -> int:
    return len(df)


@pipeline(exectuor="local")  # error: call-overload|call-arg
def misspelt_pipeline() -> int:
    return 1


@pipeline
def train(path: str) -> int:
    return fit(path, 0.1)


fit("a")  # error: call-arg
fit("a", 0.1, 3)  # error: call-arg
fit(1, 0.1)  # error: arg-type
fit("a", rate=0.1)  # error: call-arg
fit.with_options(memroy="8Gi")  # error: call-arg
text: str = fit("a", 0.1)  # error: assignment
train(3)  # error: arg-type
train.with_options(exectuor="local")  # error: call-arg
train.submit()  # error: call-arg

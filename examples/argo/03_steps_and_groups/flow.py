"""Steps one after the other, groups side by side, and order without data; and the DAG, drawn."""

from pyflow import parallel, pipeline, steps, task


@task
def say(what: str) -> str:
    print(what)
    return what


@pipeline
def acquire(tile: str):
    with steps():
        say(f"order {tile}")
        with parallel():
            red = say.with_options(name="red")("download red")
            nir = say.with_options(name="nir")("download near infrared")
        merged = say.with_options(name="merge")("merge the bands")
    told = say.with_options(name="tell")("tell the others")
    merged >> told
    return red, nir


if __name__ == "__main__":
    print(acquire.trace("31UFU").to_mermaid())
    run = acquire.submit("31UFU")
    print(run.result())

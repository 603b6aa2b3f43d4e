"""A nightly check: things in order, things side by side, and things that happen only sometimes."""

import sys

from pyflow import first_of, otherwise, parallel, pipeline, steps, task, when


@task
def log(what: str) -> str:
    print(what)
    return what


@task
def measure(night: str) -> dict:
    """How many birds of how many came back."""
    return {"quiet": {"seen": 97, "known": 100}, "storm": {"seen": 61, "known": 100}}[night]


@task
def part(counts: dict) -> float:
    return counts["seen"] / counts["known"]


@task
def publish(value: float) -> str:
    return f"published: {value:.0%} came back"


@task
def alarm(value: float) -> str:
    return f"alarm: only {value:.0%} came back"


@task
def archive(text: str) -> str:
    return f"archived ({text})"


@task
def say_goodbye(outcome) -> None:
    """The exit handler: it gets the outcome of the run, whatever that is."""
    print(f"{outcome.pipeline} {outcome.status}")


@pipeline(on_exit=say_goodbye)
def nightly(night: str):
    with steps():  # one after the other
        log("open the gate")
        with parallel():  # these two side by side
            log("wake the left camera")
            log("wake the right camera")
        counts = measure(night)
        log("close the gate")

    came_back = part(counts)
    with when(came_back > 0.9):
        good = publish(came_back)
    with otherwise():
        bad = alarm(came_back)
    message = first_of(good, bad)  # the one that was made

    stored = archive(message)
    cleaned = log.with_options(name="clean_up")("clean up")
    stored >> cleaned  # clean up when the archive is written, though it needs nothing of it
    return message


if __name__ == "__main__":
    for night in sys.argv[1:]:
        run = nightly.submit(night)
        print(f"{night}: {run.result()}")
        print(f"  skipped: {[name for name, node in run.nodes.items() if node.status == 'skipped']}")
        print("  " + run.logs().replace("\n", "\n  ").strip())

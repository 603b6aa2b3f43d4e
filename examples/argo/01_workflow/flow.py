"""A workflow with a name, a limit on how much of it runs at once, and a value that comes back."""

from pyflow import pipeline, task


@task
def cloud_cover(scene: str) -> float:
    """The share of a scene that lies below clouds; here made up from its name."""
    return sum(map(ord, scene)) % 100 / 100


@task
def clearest(scenes: list[str], covers: list[float]) -> str:
    cover, scene = min(zip(covers, scenes, strict=True))
    return f"{scene}, {cover:.0%} cloudy"


@pipeline(name="clearest-scene", parallelism=2)
def find_clearest(scenes: list[str]):
    return clearest(scenes, cloud_cover.map(scenes))


if __name__ == "__main__":
    run = find_clearest.submit(["S2A-31UFU", "S2B-32TQM", "S2A-33UUP"])
    print(run.result())
    print(run.status, len(run.nodes["cloud_cover"].slots), "scenes")

"""Train models with scikit-learn on a real data set, with packages that are installed nowhere but where the tasks run."""

import csv
import sys
from pathlib import Path

from pyflow import each, pipeline, task

DATA = Path(__file__).parents[1] / "data" / "penguins.csv"
MEASURES = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
LEARN = ["scikit-learn==1.7.*", "numpy==2.2.*", "scipy==1.15.*", "joblib==1.4.*", "threadpoolctl==3.5.*"]


@task
def load(table: Path) -> list[dict]:
    """The birds of which everything was measured. It needs nothing but Python."""
    with table.open() as file:
        return [row for row in csv.DictReader(file) if "NA" not in row.values()]


@task(packages=LEARN)
def fit(birds: list[dict], neighbours: int):
    """A model that tells species by four measures, and how often it is right on birds that it has not seen."""
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = [[float(bird[measure]) for measure in MEASURES] for bird in birds]
    y = [bird["species"] for bird in birds]
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(neighbours))
    return {"neighbours": neighbours, "accuracy": float(cross_val_score(model, x, y).mean()), "model": model.fit(x, y)}


@task(packages=LEARN)
def best(candidates: list[dict], bird: dict) -> dict:
    """The model that is right most often, and what it says of one bird."""
    import sklearn

    winner = max(candidates, key=lambda candidate: candidate["accuracy"])
    [species] = winner["model"].predict([[float(bird[measure]) for measure in MEASURES]])
    return {
        "neighbours": winner["neighbours"],
        "accuracy": round(winner["accuracy"], 3),
        "species": str(species),
        "scikit-learn": ".".join(sklearn.__version__.split(".")[:2]),
    }


@pipeline
def train(table: Path, neighbours=(1, 5, 25)):
    birds = load(table)
    models = fit.map(birds=birds, neighbours=each(neighbours))
    return best(models, birds[0])


if __name__ == "__main__":
    executor = sys.argv[1] if len(sys.argv) > 1 else "local"
    print(train.with_options(executor=executor, progress=False)(DATA))

"""Learn to tell penguins apart: try four learning rates side by side, and keep the best."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pyflow import each, pipeline, task

DATA = Path(__file__).parents[1] / "data" / "penguins.csv"
MEASURED = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


@task
def load(path: Path) -> pd.DataFrame:
    """The table, without the birds that were not measured."""
    birds = pd.read_csv(path).dropna(subset=MEASURED)
    print(f"{len(birds)} birds of {birds['species'].nunique()} species")
    return birds


@task(outputs=2)
def split(birds: pd.DataFrame):
    """Every fourth bird is kept back for the test."""
    is_test = np.arange(len(birds)) % 4 == 0
    return birds[~is_test], birds[is_test]


@task
def fit(birds: pd.DataFrame, rate: float, steps: int = 200) -> dict:
    """Softmax regression by gradient descent."""
    species = sorted(birds["species"].unique())
    mean, spread = birds[MEASURED].mean().to_numpy(), birds[MEASURED].std().to_numpy()
    x = (birds[MEASURED].to_numpy() - mean) / spread
    y = np.eye(len(species))[[species.index(name) for name in birds["species"]]]
    weights = np.zeros((len(MEASURED), len(species)))
    for _ in range(steps):
        odds = np.exp(x @ weights)
        weights -= rate * x.T @ (odds / odds.sum(axis=1, keepdims=True) - y) / len(x)
    return {"rate": rate, "species": species, "mean": mean, "spread": spread, "weights": weights}


@task
def score(model: dict, birds: pd.DataFrame) -> float:
    """Which part of the birds a model gets right."""
    x = (birds[MEASURED].to_numpy() - model["mean"]) / model["spread"]
    guesses = np.array(model["species"])[(x @ model["weights"]).argmax(axis=1)]
    return round(float((guesses == birds["species"]).mean()), 3)


@task
def pick(models: list, scores: list) -> dict:
    """The learning rate with the highest score."""
    best = scores.index(max(scores))
    return {"rate": models[best]["rate"], "score": scores[best]}


@task
def plot(rates: list, scores: list) -> Path:
    """A picture; the returned path hands the file over."""
    figure = Figure(figsize=(5, 3), layout="tight")
    axes = figure.subplots()
    axes.semilogx(rates, scores, marker="o")
    axes.set(xlabel="learning rate", ylabel="birds told apart", title="Penguins")
    path = Path(tempfile.mkdtemp(), "scores.png")
    figure.savefig(path)
    return path


@pipeline
def train(path: Path, rates=(0.001, 0.01, 0.1, 1.0)):
    """Fit one model for each learning rate, and compare them on birds that none of them has seen."""
    known, unseen = split(load(path))
    models = fit.map(rate=each(rates), birds=known)
    scores = score.map(models, birds=unseen)
    return pick(models, scores), scores, plot(list(rates), scores)


if __name__ == "__main__":
    best, scores, picture = train(DATA)
    print("scores:", scores)
    print("best:", best)
    print("plot:", picture)

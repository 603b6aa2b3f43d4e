"""One model per species, and the years of each beside each other: nobody knows the lists in advance."""

import csv
from pathlib import Path
from statistics import mean

from pyflow import pipeline, task

DATA = Path(__file__).parents[1] / "data" / "penguins.csv"


@task
def load(path: Path) -> list[dict]:
    """One dict per bird that was weighed."""
    with path.open() as file:
        return [row for row in csv.DictReader(file) if row["body_mass_g"] != "NA"]


@task
def groups_of(rows: list[dict], column: str) -> list[dict]:
    """The rows that share a value, one group for each value."""
    values = sorted({row[column] for row in rows})
    return [{"name": value, "rows": [row for row in rows if row[column] == value]} for value in values]


@task
def weigh(group: dict) -> tuple[str, int]:
    """Mean mass in grams."""
    return group["name"], round(mean(int(row["body_mass_g"]) for row in group["rows"]))


@task
def summarize(name: str, years: list) -> str:
    """One line of text."""
    return f"{name:10}" + "".join(f"  {year}: {mass} g" for year, mass in years)


@task
def join(lines: list[str]) -> str:
    """All lines, in the order of the species."""
    return "\n".join(lines)


@pipeline
def per_species(group):
    """Fan out over the years in which one species was seen."""
    years = weigh.map(groups_of(group["rows"], column="year"))
    return summarize(group["name"], years)


@pipeline
def compare(path: Path):
    """Fan out over the species in the file, and within each over its years."""
    species = groups_of(load(path), column="species")
    return join(per_species.map(species))


if __name__ == "__main__":
    print(compare(DATA))

"""Files and folders between tasks: return a path, and the next task gets a path of its own."""

import csv
import tempfile
from pathlib import Path

from pyflow import pipeline, task

DATA = Path(__file__).parents[1] / "data" / "penguins.csv"


@task
def split_by_island(table: Path) -> Path:
    """A folder with one table for each island."""
    folder = Path(tempfile.mkdtemp(), "islands")
    folder.mkdir()
    with table.open() as file:
        rows = list(csv.DictReader(file))
    for island in sorted({row["island"] for row in rows}):
        with (folder / f"{island}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(row for row in rows if row["island"] == island)
    print("made", folder)
    return folder


@task
def count(folder: Path) -> dict[str, int]:
    """Birds per island. The files are this task's own: it may do with them what it likes."""
    print("got ", folder)
    counts = {}
    for table in sorted(folder.glob("*.csv")):
        counts[table.stem] = len(table.read_text().splitlines()) - 1
        table.unlink()
    return counts


@task
def pack(folder: Path, counts: dict[str, int]) -> Path:
    """A new file beside the tables; the tables are all there, for nobody shares them."""
    assert len(list(folder.glob("*.csv"))) == len(counts)
    (folder / "README").write_text("".join(f"{island}: {n} birds\n" for island, n in counts.items()))
    return folder


@pipeline
def islands(table: Path):
    folder = split_by_island(table)
    return pack(folder, count(folder))


if __name__ == "__main__":
    run = islands.submit(DATA)
    folder = run.result()
    print("result:", folder)
    print("files:", sorted(file.name for file in folder.iterdir()))
    print((folder / "README").read_text(), end="")
    print(run.logs(), end="")

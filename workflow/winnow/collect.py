"""The step `collect`: the runs of an experiment as two tables, read by the grid and never by listing a folder."""

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from . import paths
from .config.base import canonical
from .errors import WinnowError
from .files import atomic, read_json, read_table

FILES_AT_ONCE = 1000  # bounds the memory, whatever the number of runs


def grid(text: str) -> dict[str, list[str]]:
    """A grid from its JSON, `{swept key: values, …, fraction: values, seed: values}`; the seeds `0-2` are 0, 1, 2."""
    values = json.loads(text)
    ends = [seed.split("-") for seed in values["seed"]]
    return values | {"seed": [str(seed) for end in ends for seed in range(int(end[0]), int(end[-1]) + 1)]}


def runs(experiment: str, grid: dict) -> Iterator[tuple[str, dict[str, str]]]:
    """The file of every run of a grid, and the values that its columns must have, spelled as in its path."""
    axes = [key for key in grid if key not in ("fraction", "seed")]
    pattern = paths.run(experiment, axes)
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        yield pattern.format(**point), {"experiment": experiment} | point


def read_run(path: str, expected: dict[str, str]) -> pa.Table:
    """Read one run, with its file as a further column `run`. Raises WinnowError when it is broken or another run's."""
    table = read_table(path)
    if table.num_rows == 0:
        raise WinnowError(f"{path}: holds no evaluation; delete it and run again")
    for column, value in expected.items():
        there = set(table[column].to_pylist()) if column in table.column_names else {None}
        if None in there or {*map(canonical, there)} != {value}:
            raise WinnowError(f"{path}: column {column} is not {value} throughout: this is another run's file")
    return table.append_column("run", pa.array([path] * table.num_rows, pa.string()))


def with_settings(table: pa.Table, settings: dict[str, object]) -> pa.Table:
    """A table with a column for every setting that it has none of, a swept one, and that is not null.

    As with swept ones, numbers are float64, `true` and `false` text.
    """
    for key, value in settings.items():
        if key in table.column_names or value is None:
            continue
        if isinstance(value, list):
            column = pa.array([value] * table.num_rows, pa.list_(pa.float64()))
        elif isinstance(value, bool | str):
            column = pa.array([canonical(value)] * table.num_rows, pa.string())
        else:
            column = pa.array([value] * table.num_rows, pa.float64())
        table = table.append_column(key, column)
    return table


def fixed_settings(path: str) -> dict[str, object]:
    """The settings in an experiment.json, which were checked when written, of all sections: their keys are unique."""
    settings = read_json(path)["settings"]
    return {key: value for section in settings.values() if isinstance(section, dict) for key, value in section.items()}


def collect(experiment: str, grid: dict, settings: dict[str, object], metrics_path: str, summary_path: str) -> Counter:
    """Write every evaluation of every run, and the last one of each run with the experiment's settings.

    Returns how many runs ended how.
    """
    statuses = Counter()
    with atomic(metrics_path) as metrics_file, atomic(summary_path) as summary_file:
        metrics = summary = first = None
        files = runs(experiment, grid)
        while chunk := list(itertools.islice(files, FILES_AT_ONCE)):
            tables = [read_run(path, expected) for path, expected in chunk]
            first = first or tables[0]
            for table in tables:
                if table.schema != first.schema:
                    one, other = first["run"][0], table["run"][0]
                    raise WinnowError(f"{one}: columns are not those of {other}; delete the older one and run again")
            lasts = pa.concat_tables([table.slice(table.num_rows - 1) for table in tables])
            lasts = with_settings(lasts, settings)
            statuses.update(lasts["status"].to_pylist())
            metrics = metrics or pq.ParquetWriter(metrics_file, first.schema)
            summary = summary or pq.ParquetWriter(summary_file, lasts.schema)
            metrics.write_table(pa.concat_tables(tables).combine_chunks())
            summary.write_table(lasts.combine_chunks())
        metrics.close()
        summary.close()
    return statuses


def main(arguments: list[str]) -> None:
    """Collect the runs of an experiment into metrics.parquet and summary.parquet."""
    parser = argparse.ArgumentParser(prog="python workflow collect", description=main.__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--settings", required=True, help="its experiment.json")
    parser.add_argument(
        "--grid", required=True, type=grid, help="the grid as JSON: the values of every wildcard; seeds as 0-9"
    )
    parser.add_argument("--metrics", required=True, help="every evaluation of every run")
    parser.add_argument("--summary", required=True, help="the last evaluation of every run, and its settings")
    options = parser.parse_args(arguments)
    statuses = collect(
        options.experiment, options.grid, fixed_settings(options.settings), options.metrics, options.summary
    )
    counts = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    prefix = "warning: " if statuses["diverged"] else ""
    print(f"{prefix}{options.experiment}: {statuses.total()} runs: {counts}", file=sys.stderr)

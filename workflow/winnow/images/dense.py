"""The step `dense-run`: at fraction 0 all pruning methods are the same network, so the run of one is that of each."""

import argparse

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import WinnowError
from ..files import atomic, read_table


def copies(run: str, methods: list[str], paths: list[str]) -> None:
    """Write a run at fraction 0 as the run of other methods, a path for each.

    Raises WinnowError where it is broken or something was pruned.
    """
    table = read_table(run)
    if set(table["fraction"].to_pylist()) != {0.0}:
        raise WinnowError(f"{run}: is no run of a dense network; only at fraction 0 are all methods the same")
    at = table.column_names.index("method")
    for method, path in zip(methods, paths, strict=True):
        with atomic(path) as temporary:
            pq.write_table(table.set_column(at, "method", pa.array([method] * len(table))), temporary)


def main(arguments: list[str]) -> None:
    """Write the dense runs of one method as those of others."""
    parser = argparse.ArgumentParser(prog="python workflow dense-run", description=main.__doc__)
    parser.add_argument("--runs", nargs="+", required=True, help="one parquet per seed, at fraction 0")
    parser.add_argument("--methods", nargs="+", required=True, help="the other methods")
    parser.add_argument("--out", nargs="+", required=True, help="for each method one parquet per seed")
    options = parser.parse_args(arguments)
    n, methods = len(options.runs), options.methods
    if len(options.out) != n * len(methods):
        raise WinnowError(
            f"--out: {len(options.out)} files; must be one for each of {n} runs and {len(methods)} methods"
        )
    for i, run in enumerate(options.runs):
        copies(run, methods, options.out[i::n])

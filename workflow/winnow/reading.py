"""Reading of what other jobs wrote: a file that is missing or broken is named, in one line."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import WinnowError
from .inputs import used

if TYPE_CHECKING:
    import pyarrow as pa


def read_markdown(path: str | Path) -> str:
    """Read a page of Markdown. Raises WinnowError naming a missing or broken file."""
    with _named(path, "text"):
        return Path(used(path)).read_text(encoding="utf-8")


def read_json(path: str | Path) -> object:
    """Read a JSON file. Raises WinnowError naming a missing or broken file."""
    with _named(path, "JSON"):
        return json.loads(Path(used(path)).read_text(encoding="utf-8"))


def read_table(path: str | Path) -> "pa.Table":
    """Read a parquet file. Raises WinnowError naming a missing or broken one."""
    import pyarrow.parquet as pq

    with _named(path, "a table"):
        return pq.read_table(used(path), partitioning=None)


@contextlib.contextmanager
def _named(path: str | Path, kind: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # every library raises kinds of its own for a broken file
        raise WinnowError(f"{path}: cannot be read as {kind} ({error}); delete it and run again") from None

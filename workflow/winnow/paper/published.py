"""The published curves, read off the paper's figures (JMLR 26(84), CC-BY 4.0) to about +-0.0003."""

from pathlib import Path

import pandas as pd

from ..files import used

PUBLISHED = Path(__file__).with_name("published.csv")


def published(figure: str, metric: str, series: str = "random") -> pd.DataFrame:
    """A digitised curve of the paper, as columns x, y, low, high (its drawn error bar), n (its runs)."""
    table = pd.read_csv(used(PUBLISHED), dtype={"runs": str})
    rows = table[(table.figure == figure) & (table.metric == metric) & (table.series == series)]
    y, half, n = rows.y_value.to_numpy(), rows.half_bar.to_numpy(), rows.runs.str.extract(r"(\d+)")[0].astype(int)
    return pd.DataFrame({"x": rows.x_value.to_numpy(), "y": y, "low": y - half, "high": y + half, "n": n.to_numpy()})

"""The step `scorecard`: every published point against ours, with the uncertainty of both.

Ours and the published values come from the numbers that the figures draw. A point agrees if |z| <= 1.96 for
z = (ours - published) / sqrt(se_ours^2 + se_published^2). "Inside the drawn bar" is reported too, and is too lenient:
the bars are most likely standard deviations over runs, not errors of the mean. Where our runs scatter more than the
drawn bar, as they do beside bars of three runs that are 0, the published mean is given our scatter.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from ..figures import PUBLISHED
from ..files import atomic, used, write_json

AGREES = 1.96
RESOLUTION = 0.0005  # of a value read off the paper; accuracies in per cent have 100 times that
FEW = 5  # published runs
PAPER_TEST_SET = 100  # examples that one error of figures 2 and 5 was measured on


def standard_error(value: np.ndarray, deviation: np.ndarray, n: np.ndarray, metric: str) -> np.ndarray:
    """Standard error of published means of n runs with a standard deviation (NaN: unknown) between them.

    An error is a mean over n test sets of 100 examples, so its standard error is at least the binomial one of the
    share (k + 1) / (N + 2); that also covers bars of length 0 and figure 2c, which has none.
    """
    scale = 100 if metric.endswith("accuracy") else 1
    drawn = np.nan_to_num(deviation) / np.sqrt(n)
    least = np.full_like(drawn, RESOLUTION * scale)
    if metric.endswith("error"):
        examples = n * PAPER_TEST_SET
        share = (value * examples + 1) / (examples + 2)
        least = np.sqrt(share * (1 - share) / examples)
    return np.maximum(drawn, least)


def score(figure: str, data: pd.DataFrame) -> list[dict]:
    """The points of one figure's numbers (columns x, y, low, high, n, series, source and perhaps metric).

    Ours is interpolated where the paper's x lies between two of ours; points outside our range are left out.
    """
    points = []
    if "metric" not in data:  # a series is a metric, or a curve of test errors
        data = data.assign(metric=data.series.where(data.series.str.contains("_"), "test_error"))
    for (series, metric), rows in data.groupby(["series", "metric"], sort=False):
        ours, paper = (
            rows[rows.source == source].dropna(subset="y").sort_values("x") for source in ("winnow", "paper")
        )
        if ours.empty or paper.empty:
            continue
        near = paper[(paper.x >= ours.x.min() - 1e-9) & (paper.x <= ours.x.max() + 1e-9)]
        at = {key: np.interp(near.x, ours.x, ours[key]) for key in ("y", "low", "high", "n")}
        value, half, n = near.y.to_numpy(), ((near.high - near.low) / 2).to_numpy(), near.n.to_numpy()
        ours_error = (at["high"] - at["low"]) / (2 * AGREES)
        error = standard_error(value, np.fmax(half, ours_error * np.sqrt(at["n"])), n, metric)
        far = at["y"] - value
        z = far / np.hypot(ours_error, error)
        inside = [None if np.isnan(bar) else bool(abs(d) <= bar) for d, bar in zip(far, half, strict=True)]
        table = pd.DataFrame({"figure": figure, "series": series, "metric": metric, "x": near.x, "ours": at["y"]})
        table = table.assign(ours_low=at["low"], ours_high=at["high"], ours_n=at["n"].astype(int), published=value)
        table = table.assign(half_bar=half, published_n=n, z=z, agrees=np.abs(z) <= AGREES, inside_bar=inside)
        points += table.replace({np.nan: None}).to_dict("records")
    return points


def summarize(figure: str, points: list[dict]) -> dict:
    """One figure: how many points agree, whether each curve rises and falls as published, and a verdict in words."""
    if not points:
        return {"figure": figure, "verdict": "not run", "points": 0, "agree": 0, "share": None, "rank_correlation": {}}
    table = pd.DataFrame(points)
    ranks = {}
    for (series, metric), rows in table.groupby(["series", "metric"], sort=False):
        varied = rows.ours.nunique() > 1 and rows.published.nunique() > 1 and len(rows) > 2
        name = series if series == metric else f"{series}, {metric}"
        ranks[name] = float(spearmanr(rows.ours, rows.published).statistic) if varied else None
    share = float(table.agrees.mean())
    runs = int(table.published_n.min())
    alike = min((rank for rank in ranks.values() if rank is not None), default=0.0)
    return {
        "figure": figure,
        "verdict": verdict(share, alike) + (f" ({runs} published runs tell little)" if runs < FEW else ""),
        "points": len(table),
        "agree": int(table.agrees.sum()),
        "share": share,
        "rank_correlation": ranks,
    }


def verdict(share: float, alike: float) -> str:
    """In words: share of the points that agree, and the smallest rank correlation of a figure's curves."""
    if share >= 0.9:
        return "agrees"
    if share >= 0.5:
        return "agrees in part, same shape" if alike >= 0.8 else "agrees in part"
    return "same shape at another level" if alike >= 0.8 else "differs"


def markdown(figures: list[dict], points: list[dict]) -> str:
    """The scorecard as a page."""
    lines = [
        "# Scorecard: every published point against ours",
        "",
        "A point agrees if |z| <= 1.96, with the standard errors of both means; if nothing differed, 95 % would.",
        "Rank correlation: whether a curve rises and falls where the published one does.",
        "",
        "| figure | verdict | points that agree | rank correlation |",
        "|---|---|---|---|",
    ]
    for row in figures:
        agree = f"{row['agree']} of {row['points']}" if row["points"] else ""
        ranks = "; ".join(f"{k} {'constant' if v is None else f'{v:.2f}'}" for k, v in row["rank_correlation"].items())
        lines.append(f"| {row['figure']} | {row['verdict']} | {agree} | {ranks} |")
    lines += [
        "",
        "| figure | series | x | ours (95 % interval, n) | published (± bar, n) | z |",
        "|---|---|---|---|---|---|",
    ]
    for p in points:
        if p["figure"] == "2c" and p["x"] % 100:
            continue
        bar = "" if p["half_bar"] is None else f" ± {p['half_bar']:.3g}"
        ours = f"{p['ours']:.4f} ({p['ours_low']:.4f}..{p['ours_high']:.4f}, {p['ours_n']})"
        z = f"{p['z']:+.1f}" if p["agrees"] else f"**{p['z']:+.1f}**"
        published = f"{p['published']:.4f}{bar} ({p['published_n']})"
        lines.append(f"| {p['figure']} | {p['series']} | {p['x']:g} | {ours} | {published} | {z} |")
    note = "Of figure 2c every hundredth step is shown; all points are in the JSON file."
    return "\n".join([*lines, "", note, ""])


def main(arguments: list[str]) -> None:
    """Score the figures that were drawn against the published ones."""
    parser = argparse.ArgumentParser(prog="python workflow scorecard", description=main.__doc__)
    parser.add_argument("--figures", nargs="*", default=[], help="their names")
    parser.add_argument("--data", nargs="*", default=[], help="data.parquet of each figure, in the same order")
    parser.add_argument("--json", required=True)
    parser.add_argument("--markdown", required=True)
    options = parser.parse_args(arguments)
    drawn = dict(zip(options.figures, options.data, strict=True))
    points, figures = [], []
    for name in PUBLISHED:
        number = name.removeprefix("fig")
        scored = score(number, pd.read_parquet(used(drawn[name]))) if name in drawn else []
        points += scored
        figures.append(summarize(number, scored))
    write_json(options.json, {"points": points, "figures": figures})
    with atomic(options.markdown) as temporary:
        Path(temporary).write_text(markdown(figures, points))

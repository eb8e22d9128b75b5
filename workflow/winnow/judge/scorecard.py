"""The step `scorecard`: every published point against ours, with the uncertainty of both.

Ours and the published values come from the numbers that the figures draw; our standard error (`se`) is our standard
deviation over sqrt(n), at least the binomial one of our test sets. A point agrees if |z| <= 1.96 for
z = (ours - published) / sqrt(se_ours^2 + se_published^2).

The paper does not say what its bars are: they are taken for standard deviations over the runs. Beside the error that
they give stands the curve's own roughness, its scatter about a smooth curve, which judges nothing: errors that the
fractions share, as where all start from the same seeds, leave a curve smooth however large they are. Points of one
training curve (2c) have no roughness: they are one and the same run.

Of figures 5a and 5b the runs are compared that start with outputs of both signs (see `selection.both_signs`).

A published series that never varies, as a train error of 0, is counted apart: agreeing with it is no evidence. Where
all points of a curve lie on one side of the published one, the verdict says so. That is no test: the fractions share
their seeds, and by chance they move together.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from ..analysis.stats import polynomial
from ..catalogue import FIGURES
from ..files import atomic, rounded, write_json
from ..paper.published import STATED
from ..reading import read_json, read_table

AGREES = 1.96
RESOLUTION = 0.0005  # of a value read off the paper; accuracies in per cent have 100 times that
FEW = 5  # published runs
PAPER_TEST_SET = 100  # examples that one error of figures 2 and 5 was measured on
SMOOTH = 3  # degree of the polynomial that stands for a smooth curve
ONE_SIGN = 2 * 0.5**4  # the share of figure 5's seeds whose four outputs start with one sign
CURVE_KEYS = ["series", "metric"]
FIGURE_5 = (
    "",
    "Of figures 5a and 5b the runs are compared whose outputs start with both signs. One seed in"
    f" {1 / ONE_SIGN:g} draws four of one sign, with which a class cannot be fitted unless training turns an output"
    f" round; three published runs miss such a seed with probability {(1 - ONE_SIGN) ** 3:.2f}.",
)


def standard_error(value: np.ndarray, deviation: np.ndarray, n: np.ndarray, metric: str) -> np.ndarray:
    """Standard error of published means of n runs with a standard deviation (NaN: unknown) between them.

    An error is a mean over n test sets of 100 examples, so its standard error is at least the binomial one of the
    share (k + 1) / (N + 2); that also covers bars of length 0 and figure 2c, which has none.
    """
    drawn = np.nan_to_num(deviation) / np.sqrt(n)
    least = np.full_like(drawn, resolution(metric))
    if metric.endswith("error"):
        examples = n * PAPER_TEST_SET
        share = (value * examples + 1) / (examples + 2)
        least = np.sqrt(share * (1 - share) / examples)
    return np.maximum(drawn, least)


def resolution(metric: str) -> float:
    """How exactly a value was read off the paper; a gain is the difference of two."""
    if metric.endswith("gain"):
        return np.sqrt(2) * 100 * RESOLUTION
    return RESOLUTION * (100 if metric.endswith("accuracy") else 1)


def roughness(x: np.ndarray, y: np.ndarray, metric: str) -> float:
    """Standard deviation of a published curve about a smooth one, at least what it was read to; NaN: cannot be told.

    A polynomial is fitted to its points, and the degrees of freedom it takes are allowed for. It needs twice as many
    points as that, over fractions.
    """
    taken = SMOOTH + 1
    if len(x) < 2 * taken or max(x) > 1:
        return float("nan")
    left = y - polynomial(x, y, SMOOTH)
    return max(float(np.sqrt((left**2).sum() / (len(x) - taken))), resolution(metric))


def score(figure: str, data: pd.DataFrame) -> list[dict]:
    """The points of one figure's numbers.

    Columns x, y, low, high, sd, se, n, bar_low, bar_high, series, source and perhaps metric.

    The fractions and steps that both have are compared. Where our runs scatter more than the drawn bar, as beside bars
    of three runs that are 0, the published mean is given our scatter. A point of one run has no error of ours and so
    no z: whether it agrees is None.
    """
    points = []
    if "metric" not in data:  # a series is a metric, or a curve of test errors
        data = data.assign(metric=data.series.where(data.series.str.contains("_"), "test_error"))
    for (series, metric), rows in data.groupby(CURVE_KEYS, sort=False):
        ours, paper = (
            rows[rows.source == source].dropna(subset="y").sort_values("x") for source in ("winnow", "paper")
        )
        if ours.empty or paper.empty:
            continue
        theirs, run = np.nonzero(np.isclose(paper.x.to_numpy()[:, None], ours.x.to_numpy(), rtol=0, atol=1e-9))
        near, at = paper.iloc[theirs], {key: ours[key].to_numpy()[run] for key in ("y", "low", "high", "sd", "se", "n")}
        value, half, n = near.y.to_numpy(), ((near.bar_high - near.bar_low) / 2).to_numpy(), near.n.to_numpy()
        bars = standard_error(value, np.fmax(half, at["sd"]), n, metric)
        rough = roughness(paper.x.to_numpy(), paper.y.to_numpy(), metric)
        far = at["y"] - value
        z = rounded(far / np.hypot(at["se"], bars))
        agrees = [None if np.isnan(there) else bool(abs(there) <= AGREES) for there in z]
        inside = [None if np.isnan(bar) else bool(abs(d) <= bar) for d, bar in zip(far, half, strict=True)]
        table = pd.DataFrame({"figure": figure, "series": series, "metric": metric, "x": near.x, "ours": at["y"]})
        table = table.assign(ours_low=at["low"], ours_high=at["high"], ours_n=at["n"].astype(int), published=value)
        table = table.assign(half_bar=half, published_n=n, error_of_bars=bars, error_of_roughness=rough)
        table = table.assign(z=z, agrees=agrees, inside_bar=inside)
        table = table.assign(constant=len(paper) > 1 and paper.y.nunique() == 1)
        points += rounded(table).astype(object).where(table.notna(), None).to_dict("records")
    return points


def compared(data: pd.DataFrame, narrow: bool) -> pd.DataFrame:
    """The numbers of a figure that are held against published ones: of a narrower network, whose levels must differ,
    the gains over the dense network; of any other the levels, whose differences the gains are."""
    gain = data.metric.str.endswith("_gain") if "metric" in data else pd.Series(False, data.index)
    return data[gain == narrow]


def differences(figure: str, settings: dict[str, dict]) -> list[str]:
    """What differs between the settings of an experiment (its experiment.json's) and those stated in the paper."""
    ours = {key: value for section in settings.values() if isinstance(section, dict) for key, value in section.items()}
    if "source" in ours:
        ours["source"] = ours["source"].partition(":")[0]  # wherever its files lie
    return [f"{key} {ours[key]} (paper: {value})" for key, value in STATED[figure].items() if ours[key] != value]


def curve(rows: pd.DataFrame) -> dict:
    """One curve: how many points agree, whether it rises and falls as published, on which side of it ours lies."""
    varied = rows.ours.nunique() > 1 and rows.published.nunique() > 1 and len(rows) > 2
    above, below = int((rows.ours > rows.published).sum()), int((rows.ours < rows.published).sum())
    return {
        "points": len(rows),
        "agree": int(rows.agrees.sum()),
        "constant": bool(rows.constant.iloc[0]),
        "rank_correlation": rounded(float(spearmanr(rows.ours, rows.published).statistic)) if varied else None,
        "above": above,
        "below": below,
        "one_side": len(rows) > 2 and min(above, below) == 0 < above + below,
    }


def summarize(figure: str, points: list[dict] | None) -> dict:
    """One figure: its curves, how many points of those that vary agree, and a verdict in words; None was not run."""
    table = pd.DataFrame([point for point in points or [] if point["agrees"] is not None])
    if table.empty:
        told = "not run" if points is None else "n = 1, not judged" if points else "nothing to compare"
        return {"figure": figure, "verdict": told, "points": 0, "agree": 0, "share": None, "curves": {}}
    curves = {}
    for (series, metric), rows in table.groupby(CURVE_KEYS, sort=False):
        curves[_curve_name(series, metric)] = curve(rows)
    varying = [found for found in curves.values() if not found["constant"]]
    total, agree = (sum(found[key] for found in varying) for key in ("points", "agree"))
    few = f" ({int(table.published_n.min())} published runs tell little)" if table.published_n.min() < FEW else ""
    return {
        "figure": figure,
        "verdict": verdict(varying) + few,
        "points": total,
        "agree": agree,
        "share": agree / total if total else None,
        "curves": curves,
    }


def verdict(curves: list[dict]) -> str:
    """In words, from the curves that vary: how many points agree, the shape, and whether one lies on one side."""
    total = sum(curve["points"] for curve in curves)
    if not total:
        return "nothing that varies"
    share = sum(curve["agree"] for curve in curves) / total
    alike = min((c["rank_correlation"] for c in curves if c["rank_correlation"] is not None), default=0.0)
    if share >= 0.9:
        return "agrees, a curve on one side" if any(curve["one_side"] for curve in curves) else "agrees"
    if share >= 0.5:
        return "agrees in part, same shape" if alike >= 0.8 else "agrees in part"
    return "same shape at another level" if alike >= 0.8 else "differs"


def markdown(figures: list[dict], points: list[dict]) -> str:
    """The scorecard as a page."""
    lines = [
        "# Scorecard: every published point against ours",
        "",
        "A point agrees if |z| <= 1.96, with the standard errors of both means; if nothing differed, 95 % would. The"
        " published mean's error is that of its bar, taken as a standard deviation over runs. The roughness of a"
        " published curve is shown beside it and decides nothing: it would be an error of its points only if they were"
        " independent of each other. Series that are constant in the paper are not counted. Rank: whether a"
        " curve rises and falls where the published one does. Above, below: on which side ours lies; points that"
        " share their seeds move together, so that this is no test. Points of one run of ours are not judged. Of"
        " training curves those published steps are compared at which ours were evaluated.",
        *(FIGURE_5 if any(p["figure"] in ("5a", "5b") for p in points) else ()),
        *(
            f"\nFigure {row['figure']}: **not the paper's settings**: {'; '.join(row['differs'])}."
            for row in figures
            if row["differs"]
        ),
        "",
        "| figure | verdict | points that agree | curve | agree | rank | above, below |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in figures:
        agree = f"{row['agree']} of {row['points']}" if row["points"] else ""
        for name, found in (row["curves"] or {"": None}).items():
            lines.append(f"| {row['figure']} | {row['verdict']} | {agree} | {name} | {_curve_cells(found)} |")
    lines += [
        "",
        "| figure | curve | x | ours (95 % interval, n) | published (± bar, n) | error: bars, roughness | z |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_point_line, points), ""])


def _curve_name(series: str, metric: str) -> str:
    """A figure's numbers have the metric for the series where it shows one curve of each."""
    return series if series == metric else f"{series}, {metric}"


def _curve_cells(found: dict | None) -> str:
    if found is None:
        return " | | "
    if found["constant"]:
        return f"{found['agree']} of {found['points']}, constant | | "
    rank = "" if found["rank_correlation"] is None else f"{found['rank_correlation']:.2f}"
    return f"{found['agree']} of {found['points']} | {rank} | {found['above']}, {found['below']}"


def _point_line(p: dict) -> str:
    bar = "" if p["half_bar"] is None else f" ± {p['half_bar']:.3g}"
    if p["ours_low"] is not None:
        ours = f"{p['ours']:.4f} ({p['ours_low']:.4f}..{p['ours_high']:.4f}, {p['ours_n']})"
    else:
        ours = f"{p['ours']:.4f} ({p['ours_n']})"
    rough = "" if p["error_of_roughness"] is None else f", {p['error_of_roughness']:.2g}"
    published = f"{p['published']:.4f}{bar} ({p['published_n']})"
    cells = [p["figure"], _curve_name(p["series"], p["metric"]), f"{p['x']:g}", ours, published]
    return "| " + " | ".join([*cells, f"{p['error_of_bars']:.2g}{rough}", _z(p)]) + " |"


def _z(p: dict) -> str:
    if p["agrees"] is None:
        return f"n = {p['ours_n']}, not judged"
    z = f"{p['z']:+.1f}"
    return z if p["agrees"] else f"**{z}**"


def main(arguments: list[str]) -> None:
    """Score the figures that were drawn against the published ones."""
    parser = argparse.ArgumentParser(prog="python workflow scorecard", description=main.__doc__)
    parser.add_argument("--figures", nargs="*", default=[], help="their names")
    parser.add_argument("--data", nargs="*", default=[], help="data.parquet of each figure, in the same order")
    parser.add_argument("--settings", nargs="*", default=[], help="experiment.json of each, in the same order")
    parser.add_argument("--json", required=True)
    parser.add_argument("--markdown", required=True)
    options = parser.parse_args(arguments)
    drawn = dict(zip(options.figures, zip(options.data, options.settings, strict=True), strict=True))
    points, figures = [], []
    for name, asked in FIGURES.items():
        if not asked.published or (asked.narrow and name not in drawn):
            continue
        figure, scored, differs = name.removeprefix("fig"), None, []
        if name in drawn:
            data, settings = drawn[name]
            scored = score(figure, compared(read_table(data).to_pandas(), asked.narrow))
            differs = differences(asked.published, read_json(settings)["settings"])
        points += scored or []
        figures.append(summarize(figure, scored) | {"differs": differs})
    write_json(options.json, rounded({"points": points, "figures": figures}))
    with atomic(options.markdown) as temporary:
        Path(temporary).write_text(markdown(figures, points), encoding="utf-8")

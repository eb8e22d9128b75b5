import numpy as np
import pandas as pd
import pytest

from winnow.analysis.distances import distances

PAPER = pd.DataFrame({"x": [0.0, *np.linspace(0.1, 0.9, 16)]}).assign(y=lambda paper: 98 - paper.x)


def curve(y, sd=0.1, n=2) -> pd.DataFrame:
    return PAPER.assign(y=y, sd=sd, n=n)


def test_distances_are_those_over_pruned_fractions():
    wave = 0.1 * np.sin(np.arange(17))  # 0 at fraction 0
    curves = {"far": curve(PAPER.y - 2 * wave), "near": curve(PAPER.y + wave, n=1), "dense is off": curve(PAPER.y)}
    curves["dense is off"].loc[0, "y"] = 90
    found = distances(curves, PAPER)
    size = np.sqrt((wave[1:] ** 2).mean())
    assert found.distance.to_list() == pytest.approx([2 * size, size, 0])
    assert found.further.to_list() == pytest.approx([2 * size, size, 0])
    assert found.margin.to_list() == pytest.approx([2 * 0.1, 2 * 0.1 * np.sqrt(1 + 1 / 2), 2 * 0.1])
    assert (found.fractions == 16).all()
    curves["near"].loc[3, "y"] = np.nan  # all of its runs diverged there
    assert (distances(curves, PAPER).fractions == 15).all()


def test_the_variance_is_that_over_the_seeds_of_all_readings():
    found = distances({"one": curve(PAPER.y, 0.1, 2), "other": curve(PAPER.y + 1, 0.2, 4)}, PAPER)
    variance = (0.1**2 + 3 * 0.2**2) / 4
    assert found.margin["other"] == pytest.approx(2 * np.sqrt(variance / 4 + variance / 2))
    alone = distances({"one": curve(PAPER.y, np.nan, 1), "other": curve(PAPER.y + 1, np.nan, 1)}, PAPER)
    assert alone.margin.isna().all() and alone.further["other"] == pytest.approx(1)  # a seed has no variance
    nothing = distances({"one": curve(PAPER.y)}, PAPER.assign(x=PAPER.x + 0.01))
    assert nothing.fractions["one"] == 0 and np.isnan(nothing.distance["one"])


@pytest.mark.parametrize("seeds", [2, 3])
def test_equal_readings_are_not_told_apart_and_different_ones_are(seeds):
    """Fractions that depend on each other, as those of nested masks may, and a part that all of a seed share."""
    rng = np.random.default_rng(seeds)
    alike = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(range(17), range(17))))
    told = []
    for _ in range(200):
        noise = 0.07 * (0.8 * rng.normal(size=(5, seeds, 17)) @ alike.T + 0.6 * rng.normal(size=(5, seeds, 1)))
        runs = PAPER.y.to_numpy() - 0.05 + noise  # stopped early
        runs[4] += 0.4 * PAPER.x.to_numpy()
        curves = {k: curve(run.mean(0), run.std(0, ddof=1), seeds) for k, run in enumerate(runs)}
        found = distances(curves, PAPER)
        told.append(found.further > found.margin)
    assert (np.mean(told, axis=0) <= [0.01, 0.01, 0.01, 0.01, 1]).all()
    assert np.mean(told, axis=0)[4] > 0.5

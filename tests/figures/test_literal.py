from dataclasses import replace

import made_up
import numpy as np
import pandas as pd
import pytest

from winnow.figures.literal import literal
from winnow.paper import formulas

SERIES = ["literal", "literal-orthogonal", "literal-noisy", "literal-steps, flat_below 1e-09"]
SERIES += ["literal-steps, flat_below 0.25"]


def test_each_panel_has_its_numbers_for_each_experiment_and_kind_of_step():
    """Of known runs: mean test errors, and geometric means of what is learned over its own bound in Theorem 3."""
    tables = made_up.experiments("literal")
    for name, one in tables.items():
        table = one.table
        ends = table.train_loss < 0.01
        table.loc[ends, "zeta_max"] = 0.1 * 10.0**table.seed
        table.loc[ends, "omega_max"] = 0.05
        table.loc[ends, "gamma_cross"] = 0.7 * 2.0**table.seed
        early = table.train_loss == 0.1  # reached before, and not compared there
        table.loc[early, ["zeta_max", "gamma_cross"]] = 3.0
        last = table[ends].assign(step=300, train_loss=0.0005, zeta_max=5.0, gamma_cross=5.0)  # nor at a tenth of eps
        tables[name] = replace(one, table=pd.concat([table, last], ignore_index=True))
    data, figure = literal(*tables.values())
    assert data.series.unique().tolist() == SERIES
    assert set(data.x) == {0.0, 0.5}  # what is sparser is not in the theorem's range
    assert len({line.get_marker() for line in figure.axes[0].lines}) == len(SERIES)
    error, noise, cross = (data[data.panel == panel] for panel in data.panel.unique())
    settings = made_up.theory_settings("literal")
    model, d = settings.model, settings.data.dimension
    for density in (1.0, 0.5):
        size = (4, model.width, d, model.init_std)
        bounds = formulas.noise_bounds(*size, settings.data.sigma_n, density), formulas.signal_bounds(*size, 1, density)
        for rows, y in (
            (error, made_up.phase_error(settings, {}, density) + 0.001 * 1.5),
            (noise, 0.1 * 10**1.5 / bounds[0][1]),
            (cross, 0.7 * 2**1.5 / bounds[1][1]),
        ):
            there = rows[np.isclose(rows.x, 1 - density)]
            assert there.y.to_numpy() == pytest.approx([y] * len(SERIES))
            assert (there.n == made_up.SEEDS).all() and (there.low < there.y).all() and (there.y < there.high).all()
    for axes in figure.axes:  # as all fractions are drawn
        assert axes.get_xscale() == "log" and [text.get_text() for text in axes.get_xticklabels()] == ["0", "0.5"]
        assert axes.lines[0].get_xdata() == pytest.approx([1, 0.5])
    assert [axes.get_ylabel() for axes in figure.axes] == list(data.panel.unique())


def test_a_network_that_learned_nothing_of_other_classes_is_in_no_geometric_mean():
    tables = made_up.experiments("literal")
    table = tables["literal"].table
    table.loc[table.seed == 0, "gamma_cross"] = 0.0
    data, _ = literal(*tables.values())
    rows = data[(data.series == "literal") & (data.panel == data.panel.unique()[2])]
    assert (rows.n == made_up.SEEDS - 1).all() and np.isfinite(rows.y).all()


def test_steps_of_either_kind_are_curves_of_their_own():
    tables = made_up.experiments("literal")
    steps = tables["literal-steps"].table
    steps.loc[steps.flat_below == 0.25, "test_error"] += 0.25
    data, _ = literal(*tables.values())
    ends = data[(data.panel == "test error") & (data.x == 0)].set_index("series").y
    assert ends[SERIES[4]] - ends[SERIES[3]] == pytest.approx(0.25)

from dataclasses import replace

import made_up
import pandas as pd
import pytest

from winnow.figures import regimes


def test_a_milestone_of_one_run_is_no_point_of_the_mean():
    """One run was also evaluated at a step of its own; a mean there would be that run's value."""
    tables = made_up.experiments("dynamics")
    for name, one in tables.items():
        table = one.table
        own = table[(table.seed == 0) & (table.step == 10)].assign(step=57, train_loss=1e-6)
        rows = pd.concat([table, own]).sort_values(["fraction", "seed", "step"], ignore_index=True)
        tables[name] = replace(one, table=rows)
    data, _ = regimes.dynamics(*tables.values())
    assert set(data.x) == {0, 10, 200}
    assert (data.n == made_up.SEEDS).all()


def test_dynamics_shows_memorizing_where_no_signal_neuron_is_left():
    tables = made_up.experiments("dynamics")
    found = tables["overprune"].table
    found.loc[(found.fraction == 0.99) & (found.seed == 0), "classes_missing"] = 1.0
    data, _ = regimes.dynamics(*tables.values())
    n = data[data.regime == "overprune"].groupby("series").n.first()
    assert n.to_dict() == {"0.99 pruned, no signal neuron": 3, "0.99 pruned, some signal neuron": 1}


def test_a_run_that_diverged_stays_with_those_that_it_started_with():
    """Its last row lacks what was drawn: it was taken for one with a signal neuron from there on."""
    tables = made_up.experiments("dynamics")
    found = tables["overprune"].table
    found.loc[(found.fraction == 0.99) & (found.seed == 0), "classes_missing"] = 1.0
    lost = (found.fraction == 0.99) & (found.seed == 1)
    found.loc[lost, "status"] = "diverged"
    found.loc[lost & (found.step == found.step.max()), "classes_missing"] = float("nan")
    data, _ = regimes.dynamics(*tables.values())
    diverged = data[data.regime == "overprune"].groupby("series").diverged.max()
    assert diverged.to_dict() == {"0.99 pruned, no signal neuron": 1, "0.99 pruned, some signal neuron": 0}


def test_the_two_shades_can_be_told_where_both_are():
    """Grey over orange was a third colour that the legend did not have."""
    _, figure = regimes.regimes(*made_up.experiments("regimes").values())
    lost, sparse = figure.legends[0].get_patches()
    assert lost.get_hatch() and lost.get_facecolor()[3] == 0
    assert sparse.get_facecolor()[3] > 0 and not sparse.get_hatch()


def test_a_row_of_panels_has_one_scale():
    _, figure = regimes.regimes(*made_up.experiments("regimes").values())
    scales = [axes.get_yscale() for axes in figure.axes]
    assert scales == ["log"] * 6 + ["linear"] * 3


def test_runs_without_signal_neurons_are_a_curve_of_their_own():
    data, _ = regimes.regimes(*made_up.experiments("regimes").values())
    fractions = data[data.series == "no signal neuron"].x
    assert fractions.unique() == pytest.approx([0.99])  # at .9 a signal neuron is likelier than not

import itertools
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from winnow.core import Pattern
from winnow.randomness import Stream
from winnow.two_layer import pruning
from winnow.two_layer.settings import Pruning

FRACTIONS = [0, 0.1, 0.5, 0.9, 0.999]


def dense(pattern: Pattern) -> np.ndarray:
    matrix = np.zeros(pattern.shape, bool)
    matrix.flat[pattern.flat(torch.device("cpu"))] = True
    return matrix


def test_every_allowed_method_is_there():
    assert set(get_args(Pruning.model_fields["method"].annotation)) == set(pruning.METHODS)


@pytest.mark.parametrize("method", pruning.METHODS)
def test_masks_of_a_seed_are_nested(method):
    drawn = [dense(pruning.METHODS[method]((20, 300), f, Stream(4))) for f in FRACTIONS]
    for more, fewer in itertools.pairwise(drawn):
        assert not (fewer & ~more).any()


@pytest.mark.parametrize("fraction", FRACTIONS[1:])
def test_bernoulli_law(fraction):
    """Kept entries are independent with probability 1 - fraction: total count and counts by row."""
    kept = dense(pruning.bernoulli((400, 500), fraction, Stream(1)))
    assert stats.binomtest(int(kept.sum()), kept.size, 1 - fraction).pvalue > 1e-3
    rows = kept.sum(axis=1)
    spread = rows.var(ddof=1) / (500 * fraction * (1 - fraction))
    assert stats.chi2.cdf(spread * 399, 399) == pytest.approx(0.5, abs=0.4999)


@given(st.integers(1, 12), st.integers(1, 40), st.floats(0, 1, exclude_max=True), st.integers(0, 9))
def test_exact_count_to_one_weight(rows, columns, fraction, seed):
    pattern = pruning.exact((rows, columns), fraction, Stream(seed))
    assert len(pattern.coordinates) == round((1 - fraction) * rows * columns)
    assert dense(pattern).sum() == len(pattern.coordinates)


def test_rows_are_ascending_and_density_is_what_was_achieved():
    pattern = pruning.draw(Pruning(), (30, 200), 0.7, Stream(0))
    assert (pattern.flat(torch.device("cpu")).diff() > 0).all()
    assert pattern.density == dense(pattern).mean()
    assert pruning.bernoulli((3, 7), 0, Stream(0)).density == 1


def test_every_row_may_be_empty():
    pattern = pruning.exact((4, 5), 0.99, Stream(0))
    assert pattern.density == 0
    assert pattern.pointers.tolist() == [0] * 5


def test_a_target_prunes_its_columns_only_and_by_the_same_uniforms():
    everything = dense(pruning.draw(Pruning(), (50, 40), 0.6, Stream(5), 4))
    signal = dense(pruning.draw(Pruning(target="signal"), (50, 40), 0.6, Stream(5), 4))
    noise = dense(pruning.draw(Pruning(target="noise"), (50, 40), 0.6, Stream(5), 4))
    assert signal[:, 4:].all()
    assert noise[:, :4].all()
    assert (signal & noise == everything).all()


@pytest.mark.parametrize("method", pruning.METHODS)
def test_whole_neurons_are_removed_and_those_of_a_seed_are_nested(method):
    of = Pruning(method=method, target="neurons")
    drawn = [dense(pruning.draw(of, (150, 30), f, Stream(3))) for f in FRACTIONS]
    for kept, fraction in zip(drawn, FRACTIONS, strict=True):
        neurons = kept.any(axis=1)
        assert (neurons == kept.all(axis=1)).all()
        assert stats.binomtest(int(neurons.sum()), 150, 1 - fraction).pvalue > 1e-3
        assert method == "bernoulli" or neurons.sum() == round(150 * (1 - fraction))
    for more, fewer in itertools.pairwise(drawn):
        assert not (fewer & ~more).any()

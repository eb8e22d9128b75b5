import numpy as np
import pytest
from scipy import stats

from winnow.config.base import RunSettings
from winnow.files import read_arrays, write_json
from winnow.randomness import Stream, generator
from winnow.two_layer import data
from winnow.two_layer.settings import TwoLayerSettings, TwoPatchData

BINARY = TwoPatchData(distribution="binary", dimension=50)
CLASSES = TwoPatchData(distribution="classes", classes=4, dimension=50, noise_orthogonal=False, signal_norm=2)


@pytest.mark.parametrize("distribution", [BINARY, CLASSES], ids=["binary", "classes"])
def test_moments(distribution):
    arrays = data.draw(distribution, 4000, Stream(0))
    noise = arrays["noise"][:, distribution.signal_coordinates :]
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    covariance = noise.T @ noise / len(noise) - np.eye(noise.shape[1])
    assert np.abs(covariance).max() < 6 / np.sqrt(len(noise))
    values, counts = np.unique(arrays["labels"], return_counts=True)
    assert values.tolist() == ([-1, 1] if distribution is BINARY else [0, 1, 2, 3])
    assert stats.chisquare(counts).pvalue > 1e-3


def test_orthogonal_noise_is_zero_on_the_signal_alone():
    noise = data.draw(BINARY, 100, Stream(0))["noise"]
    assert not noise[:, 0].any()
    assert noise[:, 1:].all()
    assert data.draw(CLASSES, 100, Stream(0))["noise"].all()


def test_signals():
    assert data.signals(BINARY)[:, 0].tolist() == [1, -1]
    assert not data.signals(BINARY)[:, 1:].any()
    assert np.array_equal(data.signals(CLASSES), 2 * np.eye(4, 50))
    assert data.signal_index(BINARY, np.array([1, -1])).tolist() == [0, 1]
    assert data.signal_index(CLASSES, np.array([3, 0])).tolist() == [3, 0]


def test_patch_order_is_a_fair_coin_for_classes_and_fixed_for_binary():
    flips = data.draw(CLASSES, 4000, Stream(1))["signal_first"]
    assert stats.binomtest(int(flips.sum()), 4000).pvalue > 1e-3
    assert data.draw(BINARY, 100, Stream(1))["signal_first"].all()


def test_step_writes_the_training_examples_of_a_seed_to_its_file(tmp_path):
    files = {}
    for n_test in (10, 20):
        tree = {"kind": "two_layer", "data": {"dimension": 6, "n_train": 5, "n_test": n_test}}
        run = RunSettings[TwoLayerSettings](experiment="a", root_seed=1, settings=TwoLayerSettings(**tree))
        settings = str(tmp_path / f"{n_test}.json")
        write_json(settings, run.model_dump())
        outs = [str(tmp_path / f"{n_test}-{seed}.npz") for seed in (3, 8)]
        data.main(["--settings", settings, "--seeds", "3", "8", "--out", *outs])
        files[n_test] = [read_arrays(out) for out in outs]
    assert files[10][0]["noise"].shape == (5, 6)
    assert np.array_equal(files[10][0]["noise"], files[20][0]["noise"])
    assert not np.array_equal(files[10][0]["noise"], files[10][1]["noise"])


@pytest.mark.parametrize("orthogonal", [True, False])
def test_test_examples_follow_the_training_examples_on_whatever_coordinates(orthogonal):
    settings = TwoPatchData(distribution="classes", classes=3, dimension=50, n_train=7, noise_orthogonal=orthogonal)
    run = RunSettings[TwoLayerSettings](experiment="a", root_seed=1, settings={"kind": "two_layer"})
    rng = generator(1, "a", 5, "data")
    train, whole = (data.draw(settings, n, rng) for n in (7, settings.n_test))
    some = np.array([0, 2, 3, 31, 49])
    seen = data.draw_test(run, settings, 5, some)
    assert np.array_equal(seen["noise"], whole["noise"][:, some])
    assert np.array_equal(seen["noise"][:, :2].any(axis=0), [not orthogonal] * 2)
    for key in ("labels", "signal_first"):
        assert np.array_equal(seen[key], whole[key])
    assert not np.array_equal(whole["labels"][:7], train["labels"])


def test_row_by_row_is_what_the_stream_gives_at_once():
    noise = data.draw(CLASSES, 30, Stream(3))["noise"]
    rng = Stream(3)
    rng.integers(4, 30)
    assert np.array_equal(noise, rng.normals(30, 50))


def test_dense_signals_are_orthogonal_and_as_long_as_coordinate_ones():
    tree = {"distribution": "classes", "classes": 4, "dimension": 48, "signal_norm": 1.5, "noise_orthogonal": False}
    vectors = data.signals(TwoPatchData(**tree, signal="dense"))
    np.testing.assert_allclose(vectors @ vectors.T, 1.5**2 * np.eye(4), atol=1e-5)
    assert len(np.unique(np.abs(vectors))) == 1
    with pytest.raises(ValueError, match=r"multiple of 2\^classes; classes = 4"):
        TwoPatchData(**tree | {"dimension": 50}, signal="dense")


def test_the_k_class_variant_has_its_moments():
    """y uniform over K classes, patch order a fair coin, noise N(0, I) and independent of both."""
    settings = TwoPatchData(distribution="classes", classes=4, dimension=6, noise_orthogonal=False)
    drawn = data.draw(settings, 40_000, Stream(0))
    assert np.bincount(drawn["labels"]) / 40_000 == pytest.approx([0.25] * 4, abs=0.01)
    assert drawn["signal_first"].mean() == pytest.approx(0.5, abs=0.01)
    noise = drawn["noise"].astype(float)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(noise.T), np.eye(6), atol=0.03)
    assert (noise**4).mean() == pytest.approx(3, abs=0.1)
    by_class = [noise[drawn["labels"] == k].mean(axis=0) for k in range(4)]
    np.testing.assert_allclose(by_class, 0, atol=0.05)

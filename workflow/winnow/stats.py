"""Statistics over seeds: intervals and tests, each with a fixed seed of its own where it resamples."""

import numpy as np
from scipy import stats

RESAMPLES = 10_000


def mean_interval(values: np.ndarray, seed: int = 0, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile-bootstrap interval of the mean over axis 0 (seeds); values is [seeds, ...].

    With one seed there is nothing to resample: the interval is the value itself.
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return values.mean(axis=0), values.mean(axis=0)
    result = stats.bootstrap(
        (values,),
        np.mean,
        axis=0,
        vectorized=True,
        method="percentile",
        n_resamples=RESAMPLES,
        confidence_level=level,
        rng=np.random.default_rng(seed),
        batch=500,
    )
    return result.confidence_interval.low, result.confidence_interval.high

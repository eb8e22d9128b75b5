"""What the theorems assume, and which of it settings meet."""

import math

import numpy as np

from ..paper.formulas import noise_bounds, signal_bounds, theorem_density
from ..two_layer.settings import TwoLayerSettings

POLYLOG_DEGREE = 3  # Condition 2 allows n = poly log d; the largest degree that counts as one here


def condition2(settings: TwoLayerSettings) -> dict[str, bool]:
    """The items of Condition 2 (p. 7) as printed and whether settings meet them, hidden constants 1 and eps <= 1/d.

    No run can meet all: from sigma_0 <= 1/(m^4 n mu) it takes 10^9 to 10^10 steps with eta <= mu^-2. `flat_below`,
    which makes them longer, breaks that item wherever it is set, even so low that no output is that flat.
    """
    data, model, training = settings.data, settings.model, settings.training
    log = math.log(data.dimension)
    return {
        "K <= log d": data.classes <= log,
        f"n <= (log d)^{POLYLOG_DEGREE}": data.n_train <= log**POLYLOG_DEGREE,
        "mu >= sigma_n sqrt(d) log d": data.signal_norm >= data.sigma_n * math.sqrt(data.dimension) * log,
        "m >= log d": model.width >= log,
        "sigma_0 <= m^-4 n^-1 mu^-1": model.init_std <= 1 / (model.width**4 * data.n_train * data.signal_norm),
        "eta <= mu^-2": training.learning_rate <= data.signal_norm**-2 and training.flat_below is None,
        "eps <= 1/d": training.eps is not None and training.eps <= 1 / data.dimension,
    }


def condition2_violations(settings: TwoLayerSettings) -> list[str]:
    """The items of Condition 2 that settings break."""
    return [item for item, holds in condition2(settings).items() if not holds]


def hypotheses(settings: TwoLayerSettings, densities: np.ndarray) -> dict[str, bool]:
    """What proofs ask of a regime at some densities: Condition 2, and what they use of it beyond its text.

    The proofs need a small sigma_0 only so that the first logits are O(1): m times the largest initial response
    (Lemma 4) to the power q, here <= 1. They need no small eps: a loss on its way to 1/d passes every larger one, and
    the bound O(K eps) holds there. Theorem 9 asks for a density of at most 1/(K m log d), and for a unique
    decomposition (Lemma 18).
    """
    data, model = settings.data, settings.model
    dense, sparse = max(densities), min(densities)
    size = (data.classes, model.width, data.dimension, model.init_std)
    signal = signal_bounds(*size, data.signal_norm, dense)[1]
    noise = noise_bounds(*size, data.sigma_n, dense)[1]
    return condition2(settings) | {
        "first signal logits <= 1": model.width * signal**model.power <= 1,
        "first noise logits <= 1": model.width * noise**model.power <= 1,
        "density <= 1/(K m log d)": dense <= theorem_density(data.classes, model.width, data.dimension),
        "density d > n + K": sparse * data.dimension > data.n_train + data.classes,
    }

"""What settings break of what the theorems assume."""

import math

import numpy as np

from winnow.analysis.hypotheses import condition2_violations, hypotheses
from winnow.two_layer.settings import TwoLayerSettings


def test_condition_2_names_what_is_broken():
    tree = {
        "kind": "two_layer",
        "data": {"distribution": "classes", "classes": 2, "dimension": 1000, "n_train": 3, "sigma_n": 1e-3},
        "model": {"width": 7, "power": 3, "init_std": 1e-6, "output_layer": "class_sums"},
        "training": {"loss": "cross_entropy", "learning_rate": 0.5, "eps": 1e-4},
    }
    assert condition2_violations(TwoLayerSettings(**tree)) == []
    assert condition2_violations(TwoLayerSettings(**tree).at({"sigma_n": "0"})) == []  # no noise is weaker than any
    longer = TwoLayerSettings(**tree | {"training": tree["training"] | {"flat_below": 0.2}})
    assert condition2_violations(longer) == ["eta <= mu^-2"]
    tree["data"] |= {"sigma_n": 1, "n_train": 1000}
    tree["training"] |= {"eps": None}
    broken = condition2_violations(TwoLayerSettings(**tree))
    assert broken == ["n <= (log d)^3", "mu >= sigma_n sqrt(d) log d", "sigma_0 <= m^-4 n^-1 mu^-1", "eps <= 1/d"]


def test_what_the_proofs_need_of_a_regime():
    tree = {
        "kind": "two_layer",
        "data": {"distribution": "classes", "classes": 4, "dimension": 1200, "n_train": 80, "sigma_n": 0.004},
        "model": {"width": 100, "power": 3, "init_std": 0.02, "output_layer": "class_sums"},
        "training": {"loss": "cross_entropy", "learning_rate": 0.5, "eps": 0.001},
    }
    found = hypotheses(TwoLayerSettings(**tree), np.array([1.0, 0.5]))
    broken = [item for item, holds in found.items() if not holds]
    assert broken == ["sigma_0 <= m^-4 n^-1 mu^-1", "eps <= 1/d", "density <= 1/(K m log d)"]
    tree["model"]["init_std"] = 0.05  # the largest logit at the start is 2.1
    tree["data"]["sigma_n"] = 0.1
    found = hypotheses(TwoLayerSettings(**tree), np.array([1.0, 0.001]))
    assert not found["first signal logits <= 1"]
    assert not found["first noise logits <= 1"]
    assert not found["density d > n + K"]
    sparse = hypotheses(TwoLayerSettings(**tree), np.array([1 / (4 * 100 * math.log(1200))]))
    assert sparse["density <= 1/(K m log d)"]
    assert sparse["first noise logits <= 1"]

"""The theorem's own sigma_0: Theorem 3's claims where the initial weights are as small as Condition 2 asks.

Plain steps would take 10^9 of them. While a class's outputs are flat its steps are longer instead (`flat_below`), which
keeps its course as long as classes do not feel each other; whether it does is judged against plain steps at a sigma_0
that these can start from as well. Each rule was written before the runs.
"""

from dataclasses import replace

import pandas as pd

from ..figures import LITERAL, matching
from ..two_layer.settings import TwoLayerSettings
from . import theorems
from .evidence import Claim, same_mean_evidence
from .missing import experiment, judged
from .selection import Regime, by_seed

LONG, PLAIN = "literal-long", "literal-plain"  # steps of either kind, on streams of their own: no pairs
ABOUT = ("1", "2", "2-eps/10", "4-zeta", "4-cross")
STEPS_MARGIN = 0.02  # of a test error: less would change no verdict


def literal_claims(tables: dict[str, pd.DataFrame], settings: dict[str, TwoLayerSettings]) -> list[Claim]:
    """The claims about the experiments of this study that were run; none without any."""

    def regime(name: str) -> Regime:
        return Regime(name, experiment(tables, name, "classes_missing"), settings[name])

    found = []
    for name in matching(LITERAL, tables):
        if name not in (LONG, PLAIN):  # these are the method's control, and no evidence for the theorem
            found += judged(ABOUT, name, lambda name=name: _about(regime(name)))
        if name == LONG:
            found += judged(["literal-steps"], name, lambda: [same_course(*map(regime, (LONG, PLAIN)))])
    return found


def _about(regime: Regime) -> list[Claim]:
    rules = (theorems.generalization_gap, theorems.noise_coefficients)
    found = [theorems.success(regime), *(claim for rule in rules for claim in rule(regime))]
    return [replace(claim, figure="literal") for claim in found]


def same_course(long: Regime, plain: Regime) -> Claim:
    """Longer steps must end where plain ones do: the mean test errors of two groups of seeds are within a margin."""
    errors = [by_seed(regime.mild_ends(), "test_error") for regime in (long, plain)]
    return theorems.claim(
        "literal-steps",
        long,
        (),
        same_mean_evidence(*errors, STEPS_MARGIN),
        statement=f"longer steps while outputs are flat end at the test error of plain ones (`{plain.name}`)",
        statistic="test error minus that of plain steps, mean over mild fractions",
        test=f"TOST of two samples (Welch), 0 +- {STEPS_MARGIN:g}",
        figure="literal",
    )

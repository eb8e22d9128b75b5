"""The theorem's own sigma_0: Theorem 3's claims where the initial weights are as small as Condition 2 asks.

Plain steps would take 10^9 to 10^10 of them. While a class's outputs are flat its steps are longer instead
(`flat_below`), which keeps its course as long as classes do not feel each other; whether it does is judged against
plain steps at a sigma_0 that these can start from as well. Steps of several sizes are no time, and in noise some runs
do not end, so neither times nor gaps are judged here.
"""

from dataclasses import replace

import pandas as pd

from ..analysis.selection import Regime, by_seed, split_regimes
from ..analysis.stats import least_deviation
from ..errors import WinnowError
from ..figures import LITERAL, matching
from ..two_layer.settings import TwoLayerSettings
from . import theorems
from .evidence import Claim, equivalence_evidence
from .missing import experiment, judged

STEPS = "literal-steps"  # the method's control, and no evidence for the theorem
ABOUT = ("1-draw", "1", "4-zeta", "4-cross")
STEPS_MARGIN = 0.02  # of a test error: less would change no verdict


def literal_claims(tables: dict[str, pd.DataFrame], settings: dict[str, TwoLayerSettings]) -> list[Claim]:
    """The claims about the experiments of this study that were run; none without any."""
    found = []
    for name in matching(LITERAL, tables):
        ids, rule = ((STEPS,), _same_course) if name == STEPS else (ABOUT, _about)
        found += judged(ids, name, lambda name=name, rule=rule: rule(_regimes(tables, settings[name], name)))
    return found


def _regimes(tables: dict[str, pd.DataFrame], settings: TwoLayerSettings, name: str) -> list[Regime]:
    """An experiment of this study as regimes; `literal-steps` is one for every `flat_below`, ascending."""
    return split_regimes(name, experiment(tables, name, "classes_missing"), settings, LITERAL[name])


def _about(found: list[Regime]) -> list[Claim]:
    (regime,) = found
    claims = [*theorems.success(regime), *theorems.noise_coefficients(regime)]
    return [replace(claim, figure="literal") for claim in claims]


def _same_course(found: list[Regime]) -> list[Claim]:
    """Longer steps must end where plain ones do: test errors of the same draws differ by less than a margin."""
    if [_starts_flat(regime) for regime in found] != [False, True]:
        raise WinnowError(
            f"needs two values of `flat_below` in `{STEPS}`: below and above every class's first <w_r, x>"
        )
    plain, longer = found
    difference = by_seed(longer.mild_ends(), "test_error") - by_seed(plain.mild_ends(), "test_error")
    difference = difference.dropna()
    floor = least_deviation(difference, longer.settings.data.n_test)
    return [
        theorems.claim(
            STEPS,
            longer,
            (),
            equivalence_evidence(difference, 0, STEPS_MARGIN, floor),
            statement="longer steps while outputs are flat end at the test error of plain ones",
            statistic=f"test error minus that of plain steps (`{plain.name}`), mean over mild fractions",
            test=f"TOST of paired seeds, 0 +- {STEPS_MARGIN:g}",
            figure="literal",
        )
    ]


def _starts_flat(regime: Regime) -> bool | None:
    """Whether every class starts in longer steps (True) or none does (False); None where some do."""
    starts, level = regime.starts(), regime.settings.training.flat_below
    if level <= starts.noise_start_low.min():  # in every class some own example is at least as strong
        return False
    return True if level > starts[["noise_start_high", "signal_start_high"]].max(axis=None) else None

"""The theorem's own sigma_0: Theorem 3's claims where the initial weights are as small as Condition 2 asks.

Plain steps would take 10^9 to 10^10 of them. While a class's outputs are flat its steps are longer instead
(`flat_below`), which keeps its course as long as classes do not feel each other; whether it does is judged against
plain steps at a sigma_0 that these can start from as well. Steps of several sizes are no time, and in noise some runs
do not end, so neither times nor gaps are judged here.
"""

from dataclasses import replace

from ..analysis.selection import Regime, by_seed
from ..analysis.stats import least_deviation
from ..errors import WinnowError
from . import theorems
from .evidence import Claim, equivalence_evidence
from .rules import answers, each_alone

STEPS_MARGIN = 0.02  # of a test error: less would change no verdict


def literal_claims(experiments: dict[str, Regime]) -> list[Claim]:
    """The claims about the experiments of this study that were run; none without any."""
    return each_alone(experiments, RULES, "classes_missing", lambda rule, one, asked: rule(one))


@answers(*theorems.success.ids, *theorems.noise_coefficients.ids)
def about(regime: Regime) -> list[Claim]:
    """Theorem 3's claims that need neither times nor gaps."""
    claims = [*theorems.success(regime), *theorems.noise_coefficients(regime)]
    return [replace(claim, figure="literal") for claim in claims]


@answers("literal-steps")
def same_course(control: Regime) -> Claim:
    """Longer steps must end where plain ones do: test errors of the same draws differ by less than a margin.

    The method's control, and no evidence for the theorem.
    """
    found = control.at_each("flat_below")
    if [_starts_flat(regime) for regime in found] != [False, True]:
        raise WinnowError(
            f"needs two values of `flat_below` in `{control.name}`: below and above every class's first <w_r, x>"
        )
    plain, longer = found
    difference = by_seed(longer.mild_ends(), "test_error") - by_seed(plain.mild_ends(), "test_error")
    difference = difference.dropna()
    floor = least_deviation(difference, longer.settings.data.n_test)
    return theorems.claim(
        longer,
        (),
        equivalence_evidence(difference, 0, STEPS_MARGIN, floor),
        statement="longer steps while outputs are flat end at the test error of plain ones",
        statistic=f"test error minus that of plain steps (`{plain.name}`), mean over mild fractions",
        test=f"TOST of paired seeds, 0 +- {STEPS_MARGIN:g}",
        figure="literal",
    )


def _starts_flat(regime: Regime) -> bool | None:
    """Whether every class starts in longer steps (True) or none does (False); None where some do."""
    starts, level = regime.starts(), regime.settings.training.flat_below
    if level <= starts.noise_start_low.min():  # in every class some own example is at least as strong
        return False
    return True if level > starts[["noise_start_high", "signal_start_high"]].max(axis=None) else None


RULES = {"literal": (about,), "literal steps": (same_course,)}
"""The rules, as the catalogue calls them."""

"""The figures: what each is called, which experiments it needs and which module draws it."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Figure:
    """One figure, drawn by the function of the same name (`_` for `-`) in `winnow.figures.<module>`."""

    module: str
    experiments: tuple[str, ...]
    """Their names, or patterns of which each must match one experiment at least."""
    category: str
    title: str

    @property
    def kind(self) -> str:
        """The kind of experiment that it shows."""
        return "images" if self.module in ("real", "sanity") else "two_layer"

    @property
    def is_theory(self) -> bool:
        """Whether it shows what only runs of the theory's own network record."""
        return self.module not in ("real", "sanity", "synthetic", "readings")


def matching(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """The names that match some patterns, pattern by pattern, each time in their own order."""
    return [name for pattern in patterns for name in names if fnmatchcase(name, pattern)]


THEORY = "Theory"

# Experiments by name or pattern, and the one key that each may sweep (None: no key).
CLAIMS = {
    "condition2": None,
    "boundary": "init_std",
    "trajectories": None,
    "overprune": None,
    "width_mild": "width",
    "causes": "target",
    "dense_signal": None,
    "small_init": "init_std",
    "start": "init_std",
    "start-orthogonal": "init_std",
    "lemma4": None,
    "event": None,
}
"""The experiments of the theory that the step `claims` judges."""

SCALING = {"scaling-race-*": None, "scaling-over-*": None, "scaling-widths": "width"}
"""Those of the scaling study that it judges: one for every d, whatever those are."""

LITERAL = {"literal": None, "literal-orthogonal": None, "literal-noisy": None, "literal-steps": "flat_below"}
"""Those that it judges from initial weights as small as Condition 2 asks, and what holds their steps to plain ones."""

PRACTICE = dict.fromkeys(("fig3a", "fig3b", "fig3b-narrow", "fig4", "fig4-narrow", "methods"), "method")
PRACTICE |= {"noisy": "sigma", "vgg-widths": "width"}
"""Those on real data that it judges."""

SANITY = {"sanity-*": ("method", "check")}
"""Those that say what pruning methods owe to their masks; some sweep both keys, some neither."""

DRAWN = dict.fromkeys(("fig2a", "fig2b", "fig2c", "fig5")) | {"noise": "sigma_n", "width": "width"}
DRAWN |= dict.fromkeys(("fig3a-dense-output", "fig3b-small", "fig4-small"), "method")
"""Those that are drawn and not judged, but for calibrations."""

SWEPT = CLAIMS | SCALING | LITERAL | PRACTICE | SANITY | DRAWN
"""All of them: runs that differ in another key would be taken for one."""

FACTORS = ("target", "loss", "output_layer", "output_init", "output_scale", "init_std", "reduction", "learning_rate")
"""What makes a reading of figure 2: with sigma_n, the keys that a calibration may sweep."""
READ_AT = {"sigma_n": (0.5, 1), "fraction": (0, 0.5, 0.9)}
"""Where a calibration compares readings: 2a's and 2b's noise, and the fractions that choose."""

TIMED = ("condition2", "trajectories", "overprune", "scaling-race-*", "scaling-over-*")
"""Those in whose claims and figures the number of steps is a time."""

FIGURES = {
    "fig2a": Figure("synthetic", ("fig2a",), "Figure 2", "train and test error, low noise"),
    "fig2b": Figure("synthetic", ("fig2b",), "Figure 2", "test error, high noise"),
    "fig2c": Figure("synthetic", ("fig2c",), "Figure 2", "test error over training"),
    "readings": Figure(
        "readings",
        ("calibration-fixed", "calibration-trained", "calibration-summed"),
        "Figure 2",
        "readings of what the paper leaves open, where 2a and 2b end",
    ),
    "fig5a": Figure("synthetic", ("fig5",), "Figure 5", "train and test error, four hidden neurons"),
    "fig5b": Figure("synthetic", ("fig5",), "Figure 5", "train and test loss, four hidden neurons"),
    "fig3a": Figure("real", ("fig3a",), "Figure 3", "random and iterative magnitude pruning on MNIST"),
    "fig3a-variants": Figure(
        "real", ("fig3a", "fig3a-dense-output"), "Figure 3", "what random pruning may mean in figure 3a"
    ),
    "fig3b": Figure("real", ("fig3b",), "Figure 3", "random and iterative magnitude pruning, VGG-16 on CIFAR-10"),
    "fig3b-small": Figure("real", ("fig3b-small",), "Figure 3", "the same for a narrow VGG-11 on digits"),
    "fig3b-narrow": Figure("real", ("fig3b-narrow",), "Figure 3", "the same for a narrow VGG-16 on CIFAR-10"),
    "fig4": Figure("real", ("fig4",), "Figure 4", "random and iterative magnitude pruning, ResNet-20 on CIFAR-10"),
    "fig4-small": Figure("real", ("fig4-small",), "Figure 4", "the same for a narrow ResNet-8 on digits"),
    "fig4-narrow": Figure(
        "real", ("fig4-narrow",), "Figure 4", "the same for ResNet-20 of the usual width on CIFAR-10"
    ),
    "vgg-widths": Figure("real", ("vgg-widths",), "Real data", "random pruning against dense, by the network's width"),
    "sanity": Figure("sanity", tuple(SANITY), "Real data", "what pruning methods owe to their masks"),
    "methods": Figure("real", ("methods",), "Real data", "pruning at initialization against dense, all methods"),
    "noisy": Figure("real", ("noisy",), "Real data", "random pruning against dense, with noisy pixels"),
    "regimes": Figure("regimes", ("condition2", "boundary", "overprune"), THEORY, "losses and error by regime"),
    "dynamics": Figure("regimes", ("trajectories", "overprune"), THEORY, "losses and error over training"),
    "features": Figure("mechanism", ("boundary",), "Figure 1", "what neurons learn"),
    "decomposition": Figure(
        "mechanism",
        ("condition2", "boundary", "overprune", "width_mild", "start", "start-orthogonal"),
        THEORY,
        "learned signal and memorized noise",
    ),
    "lemmas": Figure("mechanism", ("boundary",), THEORY, "Lemma 4 and Lemma 8"),
    "phase": Figure("phase", ("noise", "width", "boundary"), THEORY, "phase diagram against predicted boundaries"),
    "bound": Figure(
        "regimes", ("condition2", "event", "boundary"), THEORY, "the event behind the generalization bound"
    ),
    "causes": Figure(
        "mechanism", ("causes", "dense_signal", "small_init"), THEORY, "what pruning changes, by intervention"
    ),
    "scaling": Figure("scaling", tuple(SCALING), THEORY, "what changes as d grows"),
    "literal": Figure("literal", tuple(LITERAL), THEORY, "from initial weights as small as Condition 2 asks"),
}

LARGE_INIT = 0.1  # the sigma_0 of `boundary` at which pruning rescues the dense network
RESCUED = {"boundary": {"init_std": (LARGE_INIT,)}}
POINTS = {
    "fig2c": {"fig2c": {"fraction": (0, 0.5)}},
    "dynamics": {"trajectories": {"fraction": (0,)}},
    "features": {"boundary": {"init_std": (LARGE_INIT,), "fraction": (0,)}},
    "decomposition": RESCUED,
    "lemmas": RESCUED,
    "causes": {"causes": {"target": ("all", "noise", "signal")}},
}
GAINS = ("fig3a", "fig3b", "fig3b-small", "fig3b-narrow", "fig4", "fig4-small", "fig4-narrow")
GAINS += ("methods", "noisy", "vgg-widths")  # over the dense network
POINTS |= {name: {name: {"fraction": (0,)}} for name in GAINS}
"""Pruned fractions, and values of the swept key, that a figure looks for in its experiments."""

# The figures of which published values exist (paper/published.csv), and whose. NARROW are of narrower networks: their
# levels must differ, so that their gains over the dense network are held against the published ones.
NARROW = {"fig3b-narrow": "3b", "fig4-narrow": "4"}
PUBLISHED = {f"fig{number}": number for number in ("2a", "2b", "2c", "3a", "3b", "4", "5a", "5b")} | NARROW

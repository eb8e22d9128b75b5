"""The experiments and the figures: what each is called, and what is asked of it by that name.

This is the one place that knows. Planning reads it, and so do the claims. A step that draws does not: it is told which
function to call and gets the experiments in the order that stands here, so that no new title draws a figure again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

IMAGES, TWO_LAYER, THEORY = "images", "two_layer", "theory"  # the last is a two-layer network of `class_sums`
DENSE = {"fraction": (0,)}
RANDOM = DENSE | {"method": ("bernoulli",)}


@dataclass(frozen=True)
class Asked:
    """What figures and claims ask of an experiment of a name, or of every one that matches a pattern."""

    kind: str
    swept: str | tuple[str, ...] | None = None
    """The one key that it may sweep, or several, none of which it needs: runs that differ in another would be taken for
    one."""
    judged: tuple[str, ...] = ()
    """The rules that judge it, as winnow/judge calls them; none: it is only drawn."""
    beside: str | None = None
    """The experiment that these hold it against."""
    optional: bool = False
    """Whether claims are silent where it is not configured; of the others they say that it was not run."""
    timed: bool = False
    """Whether the number of steps is a time in its claims and figures."""
    losses: tuple[float, ...] | None = (0.01,)
    """The train losses at which these compare runs of the theory; (): after as many steps; None: before training."""
    points: dict[str, tuple] = field(default_factory=dict)
    """Fractions, values of the swept key, and settings that figures and claims look for in it."""
    ending: str = ""
    """What the ids of claims about several networks end in."""
    competitive: float | None = None
    """The sparsity up to which random pruning "stays competitive" (p. 13). Of ResNet-20 nothing is said: it is given
    VGG's."""


@dataclass(frozen=True)
class Figure:
    """One figure, drawn by the function of its name (`_` for `-`) in `winnow.figures.<module>`."""

    module: str
    experiments: tuple[str, ...]
    """Their names, or patterns of which each must match one experiment at least."""
    category: str
    title: str
    published: str | None = None
    """The paper's figure whose values it is held against (paper/published.csv)."""
    narrow: bool = False
    """Whether it is of a narrower network: levels must differ, so that gains over the dense one are held against those
    published."""

    def function(self, name: str) -> str:
        """What draws it, as the step `figure` is told."""
        return f"{self.module}.{name.replace('-', '_')}"

    def caption(self, name: str) -> str:
        """The file of its caption in workflow/report/; a narrower network shares it with the paper's."""
        return f"{name.removesuffix('-narrow') if self.narrow else name}.rst"


TWO_LOSSES = (0.01, 0.001)


def _network(*judged: str, **asked) -> Asked:
    return Asked(IMAGES, "method", judged, points=DENSE, **asked)


EXPERIMENTS = {
    # Of the theory.
    "condition2": Asked(
        THEORY, None, ("mild", "time to learn", "neurons", "variance"), timed=True, losses=TWO_LOSSES, points=DENSE
    ),
    "boundary": Asked(THEORY, "init_std", ("rescued", "neurons", "variance"), losses=TWO_LOSSES, points=DENSE),
    "trajectories": Asked(THEORY, None, ("steps",), timed=True, losses=(), points=DENSE),
    "overprune": Asked(THEORY, None, ("over",), timed=True),
    "width_mild": Asked(THEORY, "width", ("width",)),
    "causes": Asked(THEORY, "target", ("target",), points=DENSE | {"target": ("all", "noise", "signal")}),
    "dense_signal": Asked(THEORY, None, ("dense signal",), beside="causes", points=DENSE),
    "small_init": Asked(THEORY, "init_std", ("small init",), beside="causes"),
    "start": Asked(THEORY, "init_std", ("vanishing",)),
    "start-orthogonal": Asked(THEORY, "init_std", ("vanishing",)),
    "lemma4": Asked(THEORY, None, ("correlations",), losses=None),
    "event": Asked(THEORY, None, ("event",)),
    # The scaling study: one for every d, whatever those are.
    "scaling-race-*": Asked(THEORY, None, ("race",), optional=True, timed=True, losses=TWO_LOSSES),
    "scaling-over-*": Asked(THEORY, None, ("scaled over",), optional=True, timed=True),
    "scaling-widths": Asked(THEORY, "width", ("scaled width",), optional=True),
    # On images: `methods` is a network small enough for the seeds that decide; data of optional ones are not here; a
    # knee needs fractions enough for a curve, and a train accuracy that drops in the paper.
    "fig3a": _network("competitive", "knee", competitive=0.79),
    "fig3b": _network("competitive", "knee", competitive=0.36, ending="-vgg", optional=True),
    "fig4": _network("competitive", competitive=0.36, ending="-resnet", optional=True),
    "fig3b-narrow": _network("competitive", "knee", competitive=0.36, ending="-vgg-narrow", optional=True),
    "fig4-narrow": _network("competitive", competitive=0.36, ending="-resnet-narrow", optional=True),
    "methods": _network("competitive", "boost", competitive=0.79, ending="-lenet"),
    "noisy": Asked(IMAGES, "sigma", ("noise",), points=RANDOM),
    "vgg-widths": Asked(IMAGES, "width", ("width of networks",), optional=True, points=RANDOM),
    # What pruning methods owe to their masks.
    "sanity-random-*": Asked(IMAGES, None, ("sanity",), optional=True, points=RANDOM),
    "sanity-*": Asked(IMAGES, ("method", "check"), ("sanity",), optional=True),
    # Only drawn.
    "fig2a": Asked(TWO_LAYER),
    "fig2b": Asked(TWO_LAYER),
    "fig2c": Asked(TWO_LAYER, points={"fraction": (0, 0.5)}),
    "fig5": Asked(TWO_LAYER),
    "noise": Asked(THEORY, "sigma_n"),
    "width": Asked(THEORY, "width"),
}

_TWO, _THREE, _FOUR, _FIVE = "Figure 2", "Figure 3", "Figure 4", "Figure 5"
_THEORY, _REAL = "Theory", "Real data"
FIGURES = {
    "fig2a": Figure("synthetic", ("fig2a",), _TWO, "train and test error, low noise", published="2a"),
    "fig2b": Figure("synthetic", ("fig2b",), _TWO, "test error, high noise", published="2b"),
    "fig2c": Figure("synthetic", ("fig2c",), _TWO, "test error over training", published="2c"),
    "fig3a": Figure("real", ("fig3a",), _THREE, "random and iterative magnitude pruning on MNIST", published="3a"),
    "fig3b": Figure(
        "real", ("fig3b",), _THREE, "random and iterative magnitude pruning, VGG-16 on CIFAR-10", published="3b"
    ),
    "fig3b-narrow": Figure(
        "real", ("fig3b-narrow",), _THREE, "the same for a narrow VGG-16 on CIFAR-10", published="3b", narrow=True
    ),
    "fig4": Figure(
        "real", ("fig4",), _FOUR, "random and iterative magnitude pruning, ResNet-20 on CIFAR-10", published="4"
    ),
    "fig4-narrow": Figure(
        "real",
        ("fig4-narrow",),
        _FOUR,
        "the same for a narrower network",
        published="4",
        narrow=True,
    ),
    "fig5a": Figure("synthetic", ("fig5",), _FIVE, "train and test error, four hidden neurons", published="5a"),
    "fig5b": Figure("synthetic", ("fig5",), _FIVE, "train and test loss, four hidden neurons", published="5b"),
    "vgg-widths": Figure("real", ("vgg-widths",), _REAL, "random pruning against dense, by the network's width"),
    "sanity": Figure("sanity", ("sanity-*",), _REAL, "what pruning methods owe to their masks"),
    "methods": Figure("real", ("methods",), _REAL, "pruning at initialization against dense, all methods"),
    "noisy": Figure("real", ("noisy",), _REAL, "random pruning against dense, with noisy pixels"),
    "regimes": Figure("regimes", ("condition2", "boundary", "overprune"), _THEORY, "losses and error by regime"),
    "dynamics": Figure("regimes", ("trajectories", "overprune"), _THEORY, "losses and error over training"),
    "features": Figure("mechanism", ("boundary",), "Figure 1", "what neurons learn"),
    "decomposition": Figure(
        "mechanism",
        ("condition2", "boundary", "overprune", "width_mild", "start", "start-orthogonal"),
        _THEORY,
        "learned signal and memorized noise",
    ),
    "lemmas": Figure("mechanism", ("boundary",), _THEORY, "Lemma 4 and Lemma 8"),
    "phase": Figure("phase", ("noise", "width", "boundary"), _THEORY, "phase diagram against predicted boundaries"),
    "bound": Figure(
        "regimes", ("condition2", "event", "boundary"), _THEORY, "the event behind the generalization bound"
    ),
    "causes": Figure(
        "mechanism", ("causes", "dense_signal", "small_init"), _THEORY, "what pruning changes, by intervention"
    ),
    "scaling": Figure(
        "scaling", ("scaling-race-*", "scaling-over-*", "scaling-widths"), _THEORY, "what changes as d grows"
    ),
}


def matching(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """The names that match some patterns, pattern by pattern, each time in their own order."""
    return [name for pattern in patterns for name in names if fnmatchcase(name, pattern)]


def known(names: Iterable[str]) -> list[tuple[str, Asked]]:
    """The names of which something is asked, in this order, and what: of several patterns the first one says it."""
    names, found = list(names), {}
    for pattern, asked in EXPERIMENTS.items():
        for name in matching([pattern], names):
            found.setdefault(name, asked)
    return list(found.items())

"""The pruning methods of networks on images, by name: what else names or sizes one reads it here.

No torch, because planning reads it too; `pruning.py` has the functions.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """What is known of a method without running it."""

    label: str
    """What figures call it."""
    keeps: str
    """What it keeps, for config/KEYS.md and editors."""
    by_score: bool = False
    """Whether it keeps the weights of the highest scores, so that a sanity check can do something to them."""
    weight_bytes: int = 44
    """What a training job takes for every weight: its value, gradient, momentum and copies, its score, its places in
    the lists of the core."""
    score_bytes: int = 0
    """What scoring takes for every output of a layer that is pruned, for every image scored at once."""


# In the order of legends. Bytes are measured peaks, rounded up.
METHODS = {
    "bernoulli": Method("random", "each weight with probability 1 - fraction"),
    "exact": Method("random, exact count", "exactly that share of the whole network, at random"),
    "layerwise": Method("random, layerwise", "that share of each layer, up to rounding, at random"),
    "erk": Method(
        "random, ERK",
        "weights at random, with the densities of Erdős-Rényi-Kernel: small layers stay denser (Evci et al. 2020)",
    ),
    "shuffled_imp": Method(
        "random, IMP's layer sizes", "weights at random, in each layer as many as `imp` keeps (sweep both)"
    ),
    "magnitude": Method("magnitude", "the largest initial weights", by_score=True),
    "snip": Method(
        "SNIP",
        "the largest |θ g| (Lee et al. 2019): g is the gradient over all batches, with batch norm's statistics of each",
        by_score=True,
        score_bytes=13,  # those of a step
    ),
    "grasp": Method(
        "GraSP",
        "the largest θ Hg: it removes the largest -θ Hg (Wang et al. 2020), with its software's temperature of 200;"
        " batches and batch norm as for `snip`",
        by_score=True,
        weight_bytes=74,  # double precision, as for synflow
        score_bytes=11 * 13,  # a second derivative in double precision, whose allocations leave gaps
    ),
    "synflow": Method(
        "SynFlow",
        "what is left after 100 rounds of the largest |θ ∂R/∂θ|, without data (Tanaka et al. 2020)",
        by_score=True,
        weight_bytes=74,
    ),
    "imp": Method(
        "IMP (after training)",
        "the largest weights after training the level before (the next smaller fraction), rewound to their initial"
        " values; needs fraction 0",
        by_score=True,
    ),
}
# Those that train before they prune: they start from masks of `imp`.
AFTER_TRAINING = ("imp", "shuffled_imp")

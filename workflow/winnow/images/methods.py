"""The pruning methods of networks on images, as planning and figures know them: no torch (pruning.py prunes)."""

from dataclasses import dataclass

WEIGHT = 44  # bytes: its value, gradient, momentum and copies, its score, its places in the lists of the core
STEP = 13  # bytes of every output of a layer that is pruned, for every image of a step


@dataclass(frozen=True)
class Method:
    """What a method is called, and the memory that it takes: bytes, rounded up from measured peaks."""

    label: str
    """In figures."""
    weight: int = WEIGHT
    """Of every weight."""
    scoring: int = 0
    """Of every output of a layer that is pruned, for every image that it scores at once."""


METHODS = {
    "bernoulli": Method("random"),
    "exact": Method("random, exact count"),
    "layerwise": Method("random, layerwise"),
    "erk": Method("random, ERK"),
    "shuffled_imp": Method("random, IMP's layer sizes"),
    "magnitude": Method("magnitude"),
    "snip": Method("SNIP", scoring=STEP),
    "grasp": Method("GraSP", weight=74, scoring=8 * STEP),  # second derivatives, in double precision
    "synflow": Method("SynFlow", weight=74),  # in double precision
    "imp": Method("IMP (after training)"),
}
"""In the order in which figures show them."""

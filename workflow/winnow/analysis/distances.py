"""How far readings of the paper are from one of its published curves."""

import numpy as np
import pandas as pd

from ..files import rounded

COMPETITIVE = 0.5  # points of accuracy that a competitive network may be worse (our choice)
TOLD = 2  # standard errors of the difference of two curves


def distances(curves: dict[str, pd.DataFrame], published: pd.DataFrame) -> pd.DataFrame:
    """How far readings of the paper are from its published curve, and whether they are told from the nearest of them.

    Curves have columns x (the fraction) and y, readings also sd and n, over seeds. Compared are the fractions that all
    have, but for 0, where nothing is pruned. Columns fractions: how many these are; distance: root mean square
    difference over them; further: distance minus that of the nearest; margin: what that must exceed for a reading to be
    told from the nearest, TOLD standard errors of the difference of the two curves, root mean square as well, with the
    variance over the seeds of all readings together. The distances of two curves differ by no more than the curves do
    (triangle inequality), however fractions depend on each other: masks are nested, initial weights shared.
    """
    tables = {name: curve.set_index("x") for name, curve in curves.items()}
    y, sd, n = (pd.DataFrame({name: table[column] for name, table in tables.items()}) for column in ("y", "sd", "n"))
    far = y.sub(published.set_index("x").y, axis=0).dropna().drop(index=0.0, errors="ignore")
    distance = np.sqrt((far**2).mean())
    variance = ((sd**2 * (n - 1)).sum(axis=1) / (n - 1).sum(axis=1)).loc[far.index]
    squared = (1 / n.loc[far.index]).mul(variance, axis=0).mean()
    nearest = distance.idxmin() if len(far) else y.columns[0]
    margin = TOLD * np.sqrt(squared + squared[nearest])
    found = {"fractions": len(far), "distance": distance, "further": distance - distance.min(), "margin": margin}
    return rounded(pd.DataFrame(found))

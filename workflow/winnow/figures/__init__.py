"""The figures: what each is called, which experiments it needs and which module draws it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure, drawn by the function of the same name in `winnow.figures.<module>`."""

    module: str
    experiments: tuple[str, ...]
    category: str
    title: str


FIGURES = {
    "fig2a": Figure("synthetic", ("fig2a",), "Figure 2", "train and test error, low noise"),
    "fig2b": Figure("synthetic", ("fig2b",), "Figure 2", "test error, high noise"),
    "fig2c": Figure("synthetic", ("fig2c",), "Figure 2", "test error over training"),
    "fig5a": Figure("synthetic", ("fig5",), "Figure 5", "train and test error, four hidden neurons"),
    "fig5b": Figure("synthetic", ("fig5",), "Figure 5", "train and test loss, four hidden neurons"),
}

# The figures of which published values exist (published.csv).
PUBLISHED = ("fig2a", "fig2b", "fig2c", "fig3a", "fig3b", "fig4", "fig5a", "fig5b")

"""The step `columns`: what every column of every table means, as the page docs/COLUMNS.md.

This is the one list. A test reads real tables and finds a column that is missing here, or is here and in no table.
"""

import argparse
from pathlib import Path

RUN = {
    "experiment": ("", "name of the experiment"),
    "method": ("", "how weights were pruned, `pruning.method`"),
    "fraction": ("share", "weights (or neurons) pruned before training, as asked for"),
    "density": ("share", "weights (or neurons) kept, as drawn"),
    "seed": ("", "the seed; it has the same data and initial weights at every fraction"),
    "status": ("", "how the run ended: `converged` (train loss at `eps`), `max_steps` or `diverged`"),
    "step": ("steps", "gradient steps taken when this row was measured"),
    "train_loss": ("nats", "mean loss of the training examples"),
    "train_error": ("share", "training examples that are classified wrongly"),
    "test_loss": ("nats", "mean loss of the test examples"),
    "test_error": ("share", "test examples that are classified wrongly"),
    "run": ("", "the run's own file"),
}
"""Columns of every run."""

TWO_CLASSES = {
    "positive_outputs": ("neurons", "how many of the m start with an output weight that speaks for label +1"),
}
"""Of runs of the two-layer network whose output layer decides between two classes."""

THEORY = {
    "gamma_max": ("", "largest gamma of a neuron and its own class's signal (Definition 14)"),
    "gamma_least": ("", "the same in the class in which it is least"),
    "gamma_cross": ("", "largest |gamma| of a neuron and another class's signal"),
    "zeta_max": ("", "largest zeta: noise of the own class's examples that a neuron has memorized"),
    "omega_max": ("", "largest |omega|: the same of other classes' examples"),
    "train_loss_balanced": ("nats", "train loss in which every class weighs the same; only where runs are compared"),
    "test_loss_balanced": ("nats", "test loss in which every class weighs the same"),
    "variance_initial": ("", "variance of <w, xi> over fresh noise xi, at step 0, mean over neurons"),
    "variance_learned": ("", "the same of what was learned since, w(t) - w(0)"),
    "variance_max": ("", "variance of <w, xi> now, the largest of all neurons"),
    "variance_noise": ("", "variance of <w, xi> now without the signals' coordinates, mean over neurons"),
    "variance_noise_max": ("", "the same, the largest of all neurons"),
    "event_missed": ("share", "test examples off Lemma 8's event: some <w, xi> reaches (2m)^(-2/q)"),
    "loss_on_event": ("nats", "mean test loss on the event"),
    "loss_off_event": ("nats", "mean test loss off the event"),
    "empty_neurons": ("neurons", "neurons without a weight"),
    "decomposition_unique": ("0 or 1", "whether every neuron has more weights than n + K (Lemma 18)"),
    "signal_neurons": ("neurons", "neurons that keep a weight on their own class's signal"),
    "classes_missing": ("classes", "classes without a signal neuron"),
    "classes_dead": ("classes", "classes without one that starts with <w, mu> > 0"),
    "noise_start_low": ("", "max over neurons of <w, xi_i> at step 0, the least of all classes and examples"),
    "noise_start_high": ("", "the same, the largest of them"),
    "signal_start_low": ("", "max over signal neurons of <w, mu> at step 0, the least of all classes"),
    "signal_start_high": ("", "the same, the largest of them"),
    "signal_strength": ("", "last row only: <w, mu> of every neuron and its own signal, a list"),
    "noise_strength": ("", "last row only: <w, xi> of every neuron and one test example's noise, a list"),
}
"""Of runs of the theory's own network, `output_layer: class_sums`."""

IMAGES = {
    "epoch": ("epochs", "passes over the training set when this row was measured"),
    "data": ("", "which images; of a folder also what is in it"),
    "collapsed_layers": ("layers", "layers that keep no weight"),
    "connected_share": ("share", "kept weights that lie on a path from input to output"),
}
"""Of runs on images."""

FIGURE = {
    "x": ("the axis's", "where the point lies on the horizontal axis"),
    "y": ("the axis's", "the mean over seeds, or the published value"),
    "low": ("as y", "lower end of the 95 % interval of y, empty where seeds say nothing of their spread"),
    "high": ("as y", "its upper end"),
    "sd": ("as y", "standard deviation over the seeds"),
    "se": ("as y", "standard error of y"),
    "n": ("seeds", "how many seeds y is the mean of; of a published point its runs"),
    "diverged": ("runs", "how many further runs diverged; they are in no mean"),
    "runs": ("", "the files that y is made of, a list"),
    "bar_low": ("as y", "lower end of the error bar that the paper draws"),
    "bar_high": ("as y", "its upper end"),
    "source": ("", "`winnow` or `paper`"),
    "series": ("", "which curve"),
    "metric": ("", "what y is, where panels differ in it"),
    "panel": ("", "which panel"),
    "regime": ("", "which experiment of the theory, at which value of its swept key"),
    "method": ("", "`methods`, `sanity`: how weights were pruned"),
    "collapsed": ("runs", "`methods`: in how many of them a layer keeps no weight at all"),
    "fraction": ("share", "`dynamics`, `vgg-widths`: pruned fraction of the curve"),
    "sigma": ("black to white", "`noisy`: standard deviation of the pixels' noise"),
    "dense": ("%", "`noisy`, `vgg-widths`: test accuracy of the dense network"),
    "strength": ("", "`features`: `signal_strength` or `noise_strength`"),
    "left": ("", "`features`: left end of a bin of strengths"),
    "share": ("share", "`features`: neurons in this bin"),
    "neurons": ("neurons", "`features`: how many there are"),
    "neurons_sd": ("", "`features`: standard deviation of the strength over neurons"),
    "experiment": ("", "`phase`: which experiment"),
    "swept": ("", "`phase`: the key that the map's vertical axis shows"),
    "value": ("", "`phase`: its value"),
    "reached": ("share", "`phase`: runs that reach the train loss at which they are compared"),
    "race": ("", "`phase`: predicted log advantage of the signal"),
    "kept": ("share", "`phase`: predicted accuracy that the loss of signal neurons leaves"),
    "chance": ("share", "`phase`: accuracy of guessing"),
    "prediction": ("share", "`phase`: predicted accuracy"),
    "slope": ("", "`phase`: fitted slope of accuracy in the race, the same in every row, as all that follow"),
    "slope_low": ("", "`phase`: lower end of its 95 % interval"),
    "slope_high": ("", "`phase`: its upper end"),
    "constant": ("", "`phase`: fitted constant of the race"),
    "constant_low": ("", "`phase`: lower end of its 95 % interval"),
    "constant_high": ("", "`phase`: its upper end"),
    "fitted_error": ("share", "`phase`: mean error of the prediction in a and b"),
    "held_out_error": ("share", "`phase`: in c, which was not fitted"),
    "boundary_error": ("share", "`phase`: in c, next to the boundary"),
    "constant_error": ("share", "`phase`: in c, of a constant guess"),
}
"""Of the numbers that a figure draws."""


def page() -> str:
    """All columns as a page."""
    lines = [
        "# The columns of the tables",
        "",
        "Written by `python workflow columns docs/COLUMNS.md` from `workflow/winnow/columns.py`. Losses and errors are",
        "means over examples. A value that is NaN was not measured.",
        "",
        "Settings are columns too, under the names of their [keys](../config/KEYS.md). A swept setting is a column of",
        "every table of its experiment. A fixed one is a column of `summary.parquet` alone, and of no table if it is",
        "null. Numbers are float64 there, and `true` and `false` are text.",
    ]
    parts = {
        "Every run, in `metrics.parquet` (a row an evaluation) and `summary.parquet` (the last row of a run)": RUN,
        "Runs of the two-layer network with an output layer": TWO_CLASSES,
        "Runs of the theory's own network (`output_layer: class_sums`)": THEORY,
        "Runs on images": IMAGES,
        "The numbers that a figure draws, `<figure>.data.parquet`": FIGURE,
    }
    for title, columns in parts.items():
        lines += ["", f"## {title}", "", "| column | unit | what it is |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {unit} | {meaning.replace('|', chr(92) + '|')} |"
            for name, (unit, meaning) in columns.items()
        ]
    return "\n".join([*lines, ""])


def main(arguments: list[str]) -> None:
    """Write what every column means."""
    parser = argparse.ArgumentParser(prog="python workflow columns", description=main.__doc__)
    parser.add_argument("out", type=Path, help="the page, as in docs/COLUMNS.md")
    parser.parse_args(arguments).out.write_text(page(), encoding="utf-8")

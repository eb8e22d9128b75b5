"""The theory's own experiment: regimes, dynamics, features, decomposition, lemmas, bound and causes."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..judge.selection import Regime, first_below, first_step_above, over_pruned, split_regimes
from ..judge.stats import mean_interval
from ..paper import formulas
from ..two_layer.settings import TwoLayerSettings
from .style import line_with_interval, new_figure

KIND = TwoLayerSettings  # of the experiments that these figures show
EPS = 0.01  # the train loss at which runs are compared
LARGE_INIT = 0.1  # the sigma_0 of `boundary` at which pruning rescues the dense network
GUIDE = {"color": "0.45", "linewidth": 0.9, "linestyle": ":"}


def regime(tables: dict[str, pd.DataFrame], name: str, axis: str | None = None, value: float | None = None) -> Regime:
    """An experiment as one regime, at one value of its swept key if it has one."""
    table = tables[name]
    regimes = split_regimes(name, table, table.attrs["settings"], axis)
    return regimes[0] if axis is None else next(r for r in regimes if math.isclose(r.table[axis].iloc[0], value))


def curve(rows: pd.DataFrame, y: str, x: str = "fraction") -> pd.DataFrame:
    """Mean of a column over seeds at every x, with its interval: columns x, y, low, high, n (seeds with a value)."""
    points = []
    for at, part in rows.groupby(x):
        values = part[y].dropna().to_numpy(float)
        if len(values):
            low, high = mean_interval(values)
            points.append({"x": at, "y": values.mean(), "low": float(low), "high": float(high), "n": len(values)})
    return pd.DataFrame(points, columns=["x", "y", "low", "high", "n"], dtype=float)


def density_axis(axes: Axes, fractions: np.ndarray) -> None:
    """Put the pruned fraction on a logarithmic scale of density, dense networks on the left."""
    smallest = 1 - max(fractions)
    ticks = [f for f in (0, 0.5, 0.9, 0.95, 0.99, 0.995, 0.998) if 1 - f >= 0.8 * smallest]
    ticks = [f for f in ticks if f not in ((0.95, 0.995) if smallest < 0.02 else ())]
    axes.set_xscale("log")
    axes.set_xlim(1.15, smallest / 1.15)
    axes.set_xticks([1 - f for f in ticks], [f"{f:g}" for f in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("pruned fraction")


def draw_over_density(axes: Axes, data: pd.DataFrame, label: str, colour: str, marker: str = "o") -> None:
    """Draw a curve over pruned fraction on a `density_axis`."""
    line_with_interval(axes, data.assign(x=1 - data.x), label, colour, marker)


def _note_seeds(axes: Axes, data: pd.DataFrame) -> None:
    if data.empty:
        return
    low, high = int(data.n.min()), int(data.n.max())
    seeds = f"{high}" if low == high else f"{low} to {high}"
    axes.annotate(f"n = {seeds} seeds", (0.98, 1.02), xycoords="axes fraction", ha="right", fontsize="xx-small")


def _legend(axes: Axes, **options) -> None:
    axes.legend(frameon=False, fontsize="xx-small", **options)


def _collapse_density(found: Regime) -> float:
    """The largest density at which the signal is predicted to win the race (at most 1), by bisection."""
    data, model = found.settings.data, found.settings.model
    size = (data.classes, model.width, data.n_train, data.dimension, data.signal_norm, data.sigma_n)
    densities = np.geomspace(1, 1e-3, 400)
    wins = [formulas.race_from_maxima(*size, density, model.power) > 0 for density in densities]
    return float(densities[wins.index(True)]) if any(wins) else float("nan")


def regimes(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Train loss, test loss and test error at eps against pruned fraction, one column of panels a regime."""
    columns = {
        "condition2": [regime(tables, "condition2")],
        "boundary": split_regimes("boundary", tables["boundary"], tables["boundary"].attrs["settings"], "init_std"),
        "overprune": [regime(tables, "overprune")],
    }
    metrics = {"train_loss": "train loss (nats)", "test_loss": "test loss (nats)", "test_error": "test error"}
    figure, grid = new_figure(len(columns), len(metrics), aspect=0.62, sharex="col")
    parts = []
    for column, (name, found) in enumerate(columns.items()):
        settings = found[0].settings
        for row, (metric, label) in enumerate(metrics.items()):
            axes = grid[row, column]
            drawn = []
            for number, one in enumerate(found):
                data = curve(first_below(one.table, EPS), metric).assign(series=one.name, metric=metric)
                sigma = one.settings.model.init_std
                draw_over_density(axes, data, rf"$\sigma_0$ = {sigma:g}", f"C{number}", "osD"[number])
                drawn.append(data)
            if name == "overprune":
                drawn.append(_without_signal(axes, found[0], metric))
            parts.extend(drawn)
            classes = settings.data.classes
            level = {"test_error": 1 - 1 / classes}.get(metric, math.log(classes))
            axes.axhline(level, **GUIDE)
            text = f"chance, 1 - 1/{classes}" if metric == "test_error" else f"log {classes}"
            axes.annotate(text, (0.02, level), xycoords=("axes fraction", "data"), va="bottom", fontsize="xx-small")
            density_axis(axes, one.table.fraction.unique())
            _shade(axes, found[0])
            axes.set_ylabel(label if column == 0 else "")
            if metric == "test_error":
                axes.set_ylim(-0.03, 1 - 1 / classes + 0.14)
            elif name != "overprune" or metric == "train_loss":
                axes.set_yscale("log")
            if row < len(metrics) - 1:
                axes.set_xlabel("")
            if row == 0:
                axes.set_title(f"{name}, n = {len(one.table.seed.unique())} seeds", fontsize="small", loc="left")
                axes.axhline(EPS, color="0.45", linewidth=0.9, linestyle="--")
                _legend(axes, loc="center left")
    return pd.concat(parts, ignore_index=True), figure


def _without_signal(axes: Axes, found: Regime, metric: str) -> pd.DataFrame:
    """Draw the runs in which no class has a signal neuron, where that is likelier than not."""
    rows = first_below(found.table, EPS)
    chosen = rows[(rows.classes_missing == found.settings.data.classes) & over_pruned(rows, found.settings)]
    data = curve(chosen, metric).assign(series="no signal neuron", metric=metric)
    draw_over_density(axes, data, "of these, no signal neuron", "C1", "s")
    return data


def _shade(axes: Axes, found: Regime) -> None:
    """Grey: denser than where the signal is predicted to win. Orange: sparser than the mild range."""
    left, right = axes.get_xlim()
    wins = _collapse_density(found)
    if wins < 1:
        axes.axvspan(left, wins, color="0.5", alpha=0.13, linewidth=0)
    if np.isnan(wins):
        axes.axvspan(left, right, color="0.5", alpha=0.13, linewidth=0)
    axes.axvspan(found.mild_density, right, color="C3", alpha=0.1, linewidth=0)
    axes.set_xlim(left, right)


def dynamics(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Train and test loss, and test error, over gradient steps: dense, mildly pruned, over-pruned."""
    found = regime(tables, "trajectories")
    chosen = _three(found)
    figure, grid = new_figure(3, 1)
    parts = []
    metrics = {"train_loss": "train loss (nats)", "test_loss": "test loss (nats)", "test_error": "test error"}
    for axes, (metric, label) in zip(grid, metrics.items(), strict=True):
        for number, (name, fraction) in enumerate(chosen.items()):
            rows = found.table[np.isclose(found.table.fraction, fraction)]
            data = curve(rows, metric, "step").assign(series=name, fraction=fraction, metric=metric)
            line_with_interval(axes, data, f"{name}, {fraction:g} pruned", f"C{number}", None)
            parts.append(data)
        axes.set(xlabel="gradient step", ylabel=label, xscale="symlog", xlim=(0, None))
        if metric != "test_error":
            axes.set_yscale("log")
        _note_seeds(axes, data)
    classes = found.settings.data.classes
    grid[1].axhline(math.log(classes), **GUIDE)
    grid[2].axhline(1 - 1 / classes, **GUIDE)
    _legend(grid[0], loc="lower left")
    return pd.concat(parts, ignore_index=True), figure


def _three(found: Regime) -> dict[str, float]:
    """Dense, the middle one of the mild fractions, and the largest fraction."""
    fractions = np.sort(found.table.fraction.unique())
    mild = [f for f in fractions if f > 0 and 1 - f >= found.mild_density]
    return {"dense": 0.0, "mild": mild[len(mild) // 2], "over": fractions[-1]}


def features(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """The paper's schematic Fig. 1, measured: over neurons, <w, mu> of their own signal and <w, xi> of fresh noise."""
    found = regime(tables, "boundary", "init_std", LARGE_INIT)
    ends = found.table.groupby(["fraction", "seed"]).tail(1)
    figure, grid = new_figure(2, 1)
    labels = {
        "signal_strength": r"signal strength $\langle w_{kr} \odot m_{kr}, \mu e_k\rangle$",
        "noise_strength": r"noise strength $\langle w_{kr} \odot m_{kr}, \xi\rangle$, fresh $\xi$",
    }
    parts = []
    for axes, (column, label) in zip(grid, labels.items(), strict=True):
        pools = {}
        for name, fraction in _three(found).items():
            lists = ends[np.isclose(ends.fraction, fraction)][column]
            pools[name, fraction] = np.concatenate([np.asarray(values, float) for values in lists])
        everything = np.concatenate(list(pools.values()))
        edges = np.linspace(everything.min(), everything.max(), 61)
        for number, ((name, fraction), values) in enumerate(pools.items()):
            counts = np.histogram(values, edges)[0] / len(values)
            text = f"{name} ({fraction:g}): mean {values.mean():.3f}, sd {values.std():.3f}"
            axes.stairs(counts, edges, color=f"C{number}", linewidth=1.2, label=text)
            axes.axvline(values.mean(), color=f"C{number}", linewidth=0.8, linestyle="--")
            part = {"strength": column, "series": name, "fraction": fraction, "left": edges[:-1], "share": counts}
            parts.append(pd.DataFrame(part).assign(mean=values.mean(), sd=values.std(), neurons=len(values)))
        axes.set(xlabel=label, ylabel="share of neurons", yscale="log")
        axes.set_ylim(top=10)
        axes.annotate(
            f"n = {len(lists)} seeds", (0.98, 1.02), xycoords="axes fraction", ha="right", fontsize="xx-small"
        )
        _legend(axes, loc="upper right")
    return pd.concat(parts, ignore_index=True), figure


def decomposition(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """max gamma, zeta and |omega| against density in two regimes, max gamma against m, and the two times."""
    figure, grid = new_figure(2, 2)
    found = {"condition2": regime(tables, "condition2")}
    found["boundary"] = regime(tables, "boundary", "init_std", LARGE_INIT)
    parts = [_coefficients(axes, one) for axes, one in zip(grid[0], found.values(), strict=True)]
    _legend(grid[0, 1], loc="lower left")
    parts.append(_width(grid[1, 0], tables["width"]))
    parts.append(_times(grid[1, 1], found["condition2"], regime(tables, "overprune")))
    return pd.concat(parts, ignore_index=True), figure


def _coefficients(axes: Axes, found: Regime) -> pd.DataFrame:
    rows = first_below(found.table, EPS)
    data, model = found.settings.data, found.settings.model
    parts = []
    names = {"gamma_max": r"max $\gamma$", "zeta_max": r"max $\zeta$", "omega_max": r"max $|\omega|$"}
    for number, (column, label) in enumerate(names.items()):
        part = curve(rows, column).assign(series=column, panel=found.name)
        draw_over_density(axes, part, label, f"C{number}", "osD"[number])
        parts.append(part)
    density = np.geomspace(1, 1 - found.table.fraction.max(), 50)
    scale = formulas.noise_scale(model.init_std, data.sigma_n, density, data.dimension)
    axes.plot(density, scale, label=r"$\sigma_0 \sigma_n (\mathrm{density}\, d)^{1/2}$", **GUIDE)
    level = formulas.feature_scale(model.width, model.power)
    axes.axhline(level, color="0.45", linewidth=0.9, linestyle="--", label=r"$m^{-1/q}$")
    density_axis(axes, found.table.fraction.unique())
    axes.set(yscale="log", ylabel=f"coefficient at train loss {EPS:g}")
    axes.set_title(found.name, fontsize="small", loc="left")
    _note_seeds(axes, pd.concat(parts))
    return pd.concat(parts)


def _width(axes: Axes, table: pd.DataFrame) -> pd.DataFrame:
    rows = pd.concat(first_below(part, EPS) for _, part in table.groupby("width"))
    settings = table.attrs["settings"]
    mild = formulas.mild_density(settings.data.classes, table.width.min())
    parts = []
    for number, (fraction, part) in enumerate(rows[1 - rows.fraction >= mild].groupby("fraction")):
        data = curve(part, "gamma_max", "width").assign(series=f"gamma_max, {fraction:g} pruned", panel="width")
        exponent = np.polyfit(np.log(part.width), np.log(part.gamma_max), 1)[0]
        line_with_interval(axes, data, f"{fraction:g} pruned: exponent {exponent:.2f}", f"C{number}")
        parts.append(data)
    widths = np.sort(rows.width.unique())
    axes.plot(widths, widths ** (-1 / settings.model.power), label=r"$m^{-1/q}$", **GUIDE)
    axes.set(xscale="log", yscale="log", xlabel="neurons per class, m", ylabel=r"max $\gamma$")
    axes.set_ylim(bottom=0.2 * axes.get_ylim()[0])
    axes.set_xticks(widths, [f"{width:g}" for width in widths])
    axes.set_xticks([], minor=True)
    _note_seeds(axes, pd.concat(parts))
    _legend(axes)
    return pd.concat(parts)


def _times(axes: Axes, signal: Regime, noise: Regime) -> pd.DataFrame:
    model = signal.settings.model
    steps = first_step_above(signal.mild, "gamma_max", formulas.feature_scale(model.width, model.power))
    learned = curve(steps.rename("steps").reset_index(), "steps").assign(series="time to learn", panel="times")
    ends = first_below(noise.table, EPS)
    without = ends.classes_missing == noise.settings.data.classes
    ends = ends[ends.reached & without & over_pruned(ends, noise.settings)]
    memorized = curve(ends, "step").assign(series="time to memorize", panel="times")
    draw_over_density(axes, learned, r"max $\gamma \geq m^{-1/q}$ (condition2)", "C0")
    draw_over_density(axes, memorized, "memorized, no signal neuron (overprune)", "C1", "s")
    if len(memorized):
        density = np.geomspace(1 - memorized.x.min(), 1 - memorized.x.max(), 20)
        law = memorized.y.iloc[0] * (density / density[0]) ** (-noise.settings.model.power / 2)
        axes.plot(density, law, label=r"$\mathrm{density}^{-q/2}$", **GUIDE)
    axes.set(yscale="log", ylabel="gradient steps")
    density_axis(axes, np.concatenate([signal.table.fraction.unique(), noise.table.fraction.unique()]))
    _note_seeds(axes, pd.concat([learned, memorized]))
    _legend(axes)
    return pd.concat([learned, memorized])


def lemmas(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Lemma 4's initial correlations within their bounds, and the three parts of Lemma 8's variance."""
    found = regime(tables, "boundary", "init_std", LARGE_INIT)
    data, model = found.settings.data, found.settings.model
    start = found.table[found.table.step == 0]
    fractions = np.sort(start.fraction.unique())
    densities = np.geomspace(1, 1 - fractions[-1], 60)
    size = (data.classes, model.width, data.dimension, model.init_std)
    figure, grid = new_figure(3, 1)
    parts = []
    bounds = {
        "noise": formulas.noise_bounds(*size, data.sigma_n, densities),
        "signal": np.array([formulas.signal_bounds(*size, data.signal_norm, x) for x in densities]).T,
    }
    labels = {"noise": r"$\max_r \langle w_{jr}(0), \xi_i\rangle$", "signal": r"$\max \langle w_{jr}(0), \mu_j\rangle$"}
    for axes, (name, (low, high)) in zip(grid[:2], bounds.items(), strict=True):
        for number, end in enumerate(("low", "high")):
            text = {"low": "least", "high": "largest"}[end] + (
                " over classes, examples" if name == "noise" else " over classes"
            )
            part = curve(start, f"{name}_start_{end}").assign(series=f"{name}_start_{end}")
            draw_over_density(axes, part, text, f"C{number}", "os"[number])
            parts.append(part)
        axes.plot(densities, np.broadcast_to(low, densities.shape), label="Lemma 4, lower", **GUIDE)
        axes.plot(densities, high, color="0.45", linewidth=0.9, linestyle="--", label="Lemma 4, upper")
        density_axis(axes, fractions)
        axes.set_ylabel(labels[name])
        _note_seeds(axes, part)
        _legend(axes)
    grid[0].set_yscale("log")
    asked = math.log(data.classes * data.dimension) / model.width
    grid[1].axvspan(asked, grid[1].get_xlim()[1], color="0.5", alpha=0.13, linewidth=0)
    rows = first_below(found.table, EPS)
    names = {"variance_initial": "initial, mean", "variance_learned": "learned, mean", "variance_max": "final, largest"}
    for number, (column, label) in enumerate(names.items()):
        part = curve(rows, column).assign(series=column)
        draw_over_density(grid[2], part, label, f"C{number}", "osD"[number])
        parts.append(part)
    scale = formulas.noise_scale(model.init_std, data.sigma_n, densities, data.dimension) ** 2
    grid[2].plot(densities, scale, label="slope 1", **GUIDE)
    density_axis(grid[2], fractions)
    grid[2].set(yscale="log", ylabel=r"Var $\langle w, \xi\rangle$ over fresh noise")
    _note_seeds(grid[2], part)
    _legend(grid[2])
    return pd.concat(parts, ignore_index=True), figure


def bound(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """How often Lemma 8's event fails on fresh examples, and the test loss where it holds and where it does not."""
    found = [regime(tables, "condition2")]
    found += split_regimes("boundary", tables["boundary"], tables["boundary"].attrs["settings"], "init_std")
    figure, (left, right) = new_figure(2, 1)
    parts = []
    for number, one in enumerate(found):
        data, model = one.settings.data, one.settings.model
        name, colour, marker = (
            rf"{one.name.split(',')[0]}, $\sigma_0$ = {model.init_std:g}",
            f"C{number}",
            "osD^"[number],
        )
        rows = first_below(one.table, EPS)
        series = {column: curve(rows, column) for column in ("event_missed", "loss_on_event", "loss_off_event")}
        enough = len(rows.seed.unique()) / 2
        series = {column: part[part.n >= enough] for column, part in series.items()}
        parts += [part.assign(series=column, regime=one.name) for column, part in series.items()]
        draw_over_density(left, series["event_missed"], name, colour, marker)
        densities = np.geomspace(1, 1 - one.table.fraction.max(), 60)
        size = (data.classes, model.width, data.dimension, model.init_std, data.sigma_n)
        law = [min(formulas.event_bound(*size, x, model.event_threshold), 1) for x in densities]
        left.plot(densities, law, color=colour, linewidth=0.9, linestyle=":")
        for column, style in {"loss_on_event": "--", "loss_off_event": "-"}.items():
            line = series[column]
            right.plot(1 - line.x, line.y, color=colour, linestyle=style, marker=marker, markersize=3, linewidth=1.2)
    left.plot([], [], label="Lemma 8's bound, constant 1", **GUIDE)
    right.plot([], [], color="0.3", linestyle="--", label="examples on E")
    right.plot([], [], color="0.3", linestyle="-", label="examples off E")
    exponent = data.n_train**2 / math.log(10)
    left.set_title(
        rf"the theorem's $\exp(-n^2/\mathrm{{density}}) \leq 10^{{-{exponent:.0f}}}$", fontsize="x-small", loc="left"
    )
    left.set(ylim=(-0.05, 1.05), ylabel=r"$P(\mathrm{not}\ E)$: some $\langle w, \xi\rangle \geq (2m)^{-2/q}$")
    right.set(yscale="log", ylabel="test loss (nats)")
    for axes in (left, right):
        density_axis(axes, one.table.fraction.unique())
        _legend(axes)
    _note_seeds(right, pd.concat(parts))
    return pd.concat(parts, ignore_index=True), figure


def causes(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Test error when only some coordinates are pruned, with a dense signal, and with a smaller init instead."""
    base = tables["causes"]
    settings = base.attrs["settings"]
    figure, (left, right) = new_figure(2, 1)
    targets = {"all": "all coordinates", "noise": "noise coordinates only", "signal": "signal coordinates only"}
    parts = []
    for number, (target, label) in enumerate(targets.items()):
        part = curve(first_below(base[base.target == target], EPS), "test_error").assign(series=label, panel="target")
        draw_over_density(left, part, label, f"C{number}", "osD"[number])
        parts.append(part)
    small = tables["small_init"]
    fraction = (1 - (small.init_std / settings.model.init_std) ** 2).round(6)
    rows = {
        "pruned": first_below(base[base.target == "all"], EPS),
        "pruned, dense signal": first_below(tables["dense_signal"], EPS),
        r"dense, $\sigma_0 \sqrt{\mathrm{density}}$": first_below(small.assign(fraction=fraction), EPS),
    }
    for number, (label, part) in enumerate(rows.items()):
        part = curve(part, "test_error").assign(series=label, panel="control")
        draw_over_density(right, part, label, f"C{number}", "osD"[number])
        parts.append(part)
    chance = 1 - 1 / settings.data.classes
    for axes in (left, right):
        axes.axhline(chance, **GUIDE)
        density_axis(axes, base.fraction.unique())
        axes.set(ylabel="test error", ylim=(-0.03, 1.08))
        _note_seeds(axes, parts[0])
        _legend(axes, loc="upper center")
    return pd.concat(parts, ignore_index=True), figure

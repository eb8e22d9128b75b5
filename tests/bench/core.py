"""`make bench`: the core against the ways to train a pruned network densely, on one thread of this machine.

Needs envs/bench.txt. Writes core.json, core.md and core.png. Every round times all competitors one after the other, and
a ratio is the median over the rounds of the ratio within a round, so that a machine that changes its pace (clock,
neighbours) changes no conclusion. Times are those of the processor, not of the clock on the wall: other work may run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from winnow.core import Examples, Network, descend, evaluate, isa, load, padded
from winnow.errors import WinnowError
from winnow.files import atomic, write_json

NEURONS, DIMENSION, CLASSES, EXAMPLES, POWER = 500, 10_000, 5, 200, 3
COLUMNS = EXAMPLES + CLASSES
RATE = 1e-9  # timing needs no progress, and no loss may diverge
DENSITIES = (1.0, 0.5, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
LOW_DENSITIES = (0.01, 0.003, 0.001)
# What the AVX-512 build is expected to reach, by density and by the kind of processor. Where the third-level cache is
# slow, those of a step are less by 3 % than what was measured on an Intel server (205 GFLOP/s GEMM, 2 MB second level).
KINDS = {False: "a fast third-level cache (AMD)", True: "a slow third-level cache (Intel, 2 MB second level)"}
LAYERS = (1.0, 0.9, 0.7, 0.5, 0.3)
STEPS = (1.0, 0.5, 0.3, 0.1, 0.03)
CONVOLVED = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03)
WHOLE = {
    "vgg_step": dict(zip(STEPS, (1.0, 1.4, 2.0, 3.3, 4.5), strict=True)),
    "resnet_step": dict(zip(STEPS, (1.0, 1.4, 1.9, 3.0, 3.5), strict=True)),
    "memory": dict.fromkeys(STEPS, 1.0),
}
BARS = {
    False: WHOLE
    | {
        "core_vs_jax": dict(zip(DENSITIES, (0.95, 1.5, 2.5, 6.5, 17, 55, 180, 450), strict=True)),
        "share_of_gemm": dict(zip(DENSITIES, (0.80, 0.70, 0.70, 0.62, 0.48, 0.50, 0.45, 0.40), strict=True)),
        "core_vs_autograd": {1.0: 1.2, 0.1: 8, 0.01: 70, 0.001: 550},
        "vs_masked": dict.fromkeys(LAYERS, 0.9) | {0.1: 4.3, 0.05: 6.9},
        "vs_torch": {1.0: 0.9},
        "faster": {1.0: 0.87, 0.1: 2.86, 0.03: 5.56},  # 1.15, .35 and .18 of the time
        "slowest": dict.fromkeys(CONVOLVED[1:], 1.0),
        "vgg16": {0.1: 3.5},
    },
    True: WHOLE
    | {
        "core_vs_jax": dict(zip(DENSITIES, (1.3, 1.9, 3.0, 7.7, 21, 46, 95, 260), strict=True)),
        "share_of_gemm": dict(zip(DENSITIES, (0.71, 0.53, 0.51, 0.42, 0.36, 0.26, 0.157, 0.142), strict=True)),
        "vs_masked": dict.fromkeys(LAYERS, 0.9) | {0.1: 3.5, 0.05: 5.5},
        "vs_torch": {1.0: 0.9},
        "faster": {1.0: 0.87, 0.1: 2.86, 0.03: 5.56},
        # 95 % of what a prototype reached
        "vgg16": dict(zip(CONVOLVED, (0.75, 1.36, 2.04, 2.69, 4.16, 5.61, 7.18), strict=True)),
        "vgg64": dict(zip(CONVOLVED, (0.75, 1.41, 2.18, 2.89, 5.01, 7.62, 10.2), strict=True)),
        "resnet20": dict(zip(CONVOLVED, (0.86, 1.45, 2.08, 2.60, 3.59, 4.23, 5.01), strict=True)),
    },
}


def seconds(action, times: int = 1) -> float:
    """Processor time of one of `times` calls, in all threads of this process."""
    begin = time.process_time()
    for _ in range(times):
        action()
    return (time.process_time() - begin) / times


def pruned(density: float, rng: np.random.Generator, d: int = DIMENSION) -> Network:
    """The theory's network with a random mask, drawn row by row."""
    return network([np.flatnonzero(rng.random(d, dtype=np.float32) < density) for _ in range(NEURONS)], rng)


def network(kept: list[np.ndarray], rng: np.random.Generator) -> Network:
    """The theory's network that keeps the given coordinates of each neuron."""
    return Network(
        pointers=torch.tensor(np.cumsum([0, *map(len, kept)])),
        coordinates=torch.from_numpy(np.concatenate(kept).astype(np.int32)),
        weights=torch.from_numpy(rng.standard_normal(sum(map(len, kept)), dtype=np.float32) * np.float32(0.01)),
        output=torch.repeat_interleave(torch.eye(CLASSES), NEURONS // CLASSES, dim=1),
        power=POWER,
    )


def examples(rng: np.random.Generator, d: int = DIMENSION) -> Examples:
    """n noise columns and one signal column per class, filled in blocks."""
    inputs = padded(d, COLUMNS)
    for row in range(0, d, 10_000):
        block = rng.standard_normal((min(10_000, d - row), EXAMPLES), dtype=np.float32)
        inputs[row : row + len(block), :EXAMPLES] = torch.from_numpy(block)
    for k in range(CLASSES):
        inputs[k, EXAMPLES + k] = 100.0
    labels = rng.integers(0, CLASSES, EXAMPLES)
    patches = np.stack([EXAMPLES + labels, np.arange(EXAMPLES)], axis=1).astype(np.int32)
    return Examples(inputs, torch.from_numpy(patches), torch.from_numpy(labels))


class Core:
    """One step of the core, timed inside a call of many (its set-up included)."""

    def __init__(self, network: Network, density: float, data: Examples):
        """Take a network, whose density decides how many steps a call makes."""
        self.network, self.data = network, data
        self.steps = max(50, min(400, round(0.1 / (0.05 * density + 1e-4))))
        self.coefficients = torch.zeros(NEURONS, COLUMNS)

    def __call__(self, coefficients=None) -> float:
        """Seconds a step."""
        more = dict(learning_rate=RATE, loss="cross_entropy", reduction="mean", coefficients=coefficients)
        return seconds(lambda: descend(self.network, self.data, steps=self.steps, **more)) / self.steps


def torch_step(data: Examples, compiled: bool):
    """A step as users of torch.nn.utils.prune write it: mask times weight, autograd, SGD; perhaps compiled."""
    weights = torch.randn(NEURONS, DIMENSION).mul_(0.01).requires_grad_()
    output = torch.repeat_interleave(torch.eye(CLASSES), NEURONS // CLASSES, dim=1)
    inputs, patches, labels = data.inputs.contiguous(), data.patches.long(), data.labels
    optimizer = torch.optim.SGD([weights], lr=RATE)

    def loss_of(weights, mask):
        activations = ((weights * mask) @ inputs).relu() ** POWER
        return torch.nn.functional.cross_entropy((output @ activations)[:, patches].sum(-1).T, labels)

    if compiled:
        loss_of = torch.compile(loss_of)

    def step(mask):
        optimizer.zero_grad()
        loss_of(weights, mask).backward()
        optimizer.step()

    return step


def jax_step(data: Examples):
    """The same step, jitted as a whole."""
    import jax
    import jax.numpy as jnp

    output = jnp.repeat(jnp.eye(CLASSES), NEURONS // CLASSES, axis=1)
    inputs, patches, labels = (jnp.asarray(t.numpy()) for t in (data.inputs.contiguous(), data.patches, data.labels))

    def loss_of(weights, mask):
        activations = jax.nn.relu((weights * mask) @ inputs) ** POWER
        logits = (output @ activations)[:, patches].sum(-1).T
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()

    @jax.jit
    def update(weights, mask):
        return weights - RATE * jax.grad(loss_of)(weights, mask)

    state = {"weights": jnp.asarray(np.random.default_rng(2).standard_normal((NEURONS, DIMENSION), np.float32) * 0.01)}

    def step(mask):
        state["weights"] = update(state["weights"], mask).block_until_ready()

    return step, lambda mask: jnp.asarray(mask.numpy())


def machine_rates():
    """Actions that give this machine's GEMM rate (flop/s) and copy bandwidth (byte/s, read plus written)."""
    a, b = torch.randn(2, 2048, 2048).unbind()
    out, source, target = torch.empty(2048, 2048), *torch.zeros(2, 1 << 25).unbind()
    gemm = lambda: 2 * 2048**3 / seconds(lambda: torch.mm(a, b, out=out))  # noqa: E731
    copy = lambda: 2 * source.nbytes / seconds(lambda: target.copy_(source), 3)  # noqa: E731
    return gemm, copy


def measure_core(rounds: int, limits, folder: Path) -> tuple[list[dict], dict]:
    """The rows of core.json and the machine's rates; `limits` is the module, which compiles into a folder."""
    data = examples(np.random.default_rng(0))
    autograd, compiled = torch_step(data, False), torch_step(data, True)
    jitted, to_jax = jax_step(data)
    gemm, copy = machine_rates()
    second, third = limits.rows(folder, COLUMNS, seconds)
    rows, rates = [], {"gemm": [], "copy": [], "second": [], "third": []}
    for density in DENSITIES:
        core = Core(pruned(density, np.random.default_rng(1)), density, data)
        mask = (torch.rand(NEURONS, DIMENSION) < density).float()
        jax_mask = to_jax(mask)
        timings = []
        for r in range(rounds + 1):
            one = {
                "gemm": gemm(),
                "copy": copy(),
                "second": second(),
                "third": third(),
                "core": core(),
                "autograd": seconds(lambda: autograd(mask), 3),  # noqa: B023, called here
                "compile": seconds(lambda: compiled(mask), 3),  # noqa: B023
                "jax": seconds(lambda: jitted(jax_mask), 3),  # noqa: B023
                "core_again": core(),
                "decomposed": core(core.coefficients),
                "undecomposed": core(),
            }
            # The core is timed on both sides of its competitors.
            one["core"] = (one["core"] + one.pop("core_again")) / 2
            if r:  # the first round compiles and warms up
                timings.append(one)
        middle = {key: statistics.median(t[key] for t in timings) for key in timings[0]}
        kept = len(core.network.weights)
        useful = 4 * kept * COLUMNS
        for name, values in rates.items():
            values += [t[name] for t in timings]
        used = len(core.network.coordinates.unique())
        bounds = [limits.binding(kept, used, COLUMNS, t["gemm"], t["second"], t["third"]) for t in (middle, *timings)]
        rows.append(
            {
                "density": density,
                **{f"{key}_ms": middle[key] * 1e3 for key in ("core", "autograd", "compile", "jax")},
                "useful_gflops": useful / middle["core"] / 1e9,
                "limit": bounds[0][0],
                "share_of_limit": statistics.median(
                    b / t["core"] for (_, b), t in zip(bounds[1:], timings, strict=True)
                ),
                "share_of_gemm": statistics.median(useful / t["core"] / t["gemm"] for t in timings),
                "core_vs_jax": statistics.median(t["jax"] / t["core"] for t in timings),
                "core_vs_compile": statistics.median(t["compile"] / t["core"] for t in timings),
                "core_vs_autograd": statistics.median(t["autograd"] / t["core"] for t in timings),
                "decomposition_us": statistics.median(t["decomposed"] - t["undecomposed"] for t in timings) * 1e6,
                "decomposition_share": statistics.median(t["decomposed"] / t["undecomposed"] for t in timings) - 1,
                # Every used input row, weight and index once; slopes, preactivations once each way.
                "flops_per_byte": useful / (used * COLUMNS * 4 + kept * 12 + NEURONS * COLUMNS * 8),
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    found = {"gemm_gflops": middle["gemm"] / 1e9, "copy_gbs": middle["copy"] / 1e9}
    return rows, found | {"second_ns": middle["second"] * 1e9, "third_ns": middle["third"] * 1e9}


def measure_parts(rounds: int) -> list[dict]:
    """What a step at low density is made of: with its weights where they are, all on the first coordinates, and none.

    On the first coordinates every input row is in a near cache, so what is left is arithmetic; without weights there
    are the activations, the class sums and the loss.
    """
    data, rows = examples(np.random.default_rng(0)), []
    for density in LOW_DENSITIES:
        rng = np.random.default_rng(1)
        first = np.arange(round(density * DIMENSION))
        kinds = {
            "core": pruned(density, rng),
            "near": network([first] * NEURONS, rng),
            "empty": network([first[:0]] * NEURONS, rng),
        }
        cores = {kind: Core(which, density, data) for kind, which in kinds.items()}
        timings = [{kind: core() for kind, core in cores.items()} for _ in range(3 * rounds + 1)][1:]
        middle = {kind: statistics.median(t[kind] for t in timings) * 1e3 for kind in kinds}
        lanes = -(-COLUMNS // 16)
        per_chunk = (middle["near"] - middle["empty"]) * 1e6 / (NEURONS * len(first) * lanes)
        away = (middle["core"] - middle["near"]) * 1e6 / len(kinds["core"].weights)
        rows.append({"density": density} | {f"{kind}_ms": ms for kind, ms in middle.items()})
        rows[-1] |= {"ns_per_chunk": per_chunk, "ns_to_fetch": away}
    return rows


def measure_large(library: Path) -> dict:
    """A million coordinates at density .001, in a process of its own for its peak memory."""
    code = "import runpy, sys; runpy.run_path(sys.argv[1])['large'](sys.argv[2])"
    command = [sys.executable, "-c", code, __file__, str(library)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise WinnowError(f"the benchmark with a million coordinates failed: {done.stderr}")
    return json.loads(done.stdout)


def large(library: str) -> None:
    """What `measure_large` runs; prints JSON."""
    import resource

    load(Path(library))
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    network, data = pruned(0.001, rng, 1_000_000), examples(rng, 1_000_000)
    more = dict(learning_rate=RATE, loss="cross_entropy", reduction="mean")
    descend(network, data, steps=2, **more)
    step = statistics.median(seconds(lambda: descend(network, data, steps=50, **more)) / 50 for _ in range(5))
    evaluate(network, data, loss="cross_entropy")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"dimension": 1_000_000, "density": 0.001, "step_ms": step * 1e3, "peak_gb": peak / 1e9}))


def slow_third_level() -> bool:
    """The kind of processor, by its second-level cache, as core/tensors.hpp tells them apart."""
    found = subprocess.run(["getconf", "LEVEL2_CACHE_SIZE"], capture_output=True, text=True)  # os.sysconf has no name
    return int(found.stdout.strip() or 0) >= 2 << 20


def table(rows: list[dict], columns: dict[str, str]) -> str:
    """A Markdown table; a number with a bar shows it, and whether it is met."""
    bars = BARS[slow_third_level()]
    lines = ["| density | " + " | ".join(columns.values()) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        cells = [f"{row['density']:g}"]
        for key in columns:
            bar = bars.get(key, {}).get(row["density"])
            verdict = "" if bar is None else f" ({'met' if row[key] >= bar else 'NOT met'}: {bar:g})"
            cells.append(row[key] if isinstance(row[key], str) else f"{row[key]:.3g}{verdict}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(result: dict) -> str:
    """core.md."""
    time_columns = {"core_ms": "core ms", "autograd_ms": "autograd ms", "compile_ms": "compile ms", "jax_ms": "jax ms"}
    ratios = {"share_of_gemm": "share of GEMM", "core_vs_jax": "jax / core", "core_vs_autograd": "autograd / core"}
    ratios |= {"core_vs_compile": "compile / core", "limit": "what binds", "share_of_limit": "share of that limit"}
    decomposition = {"decomposition_us": "µs a step", "decomposition_share": "share of a step"}
    parts = {"core_ms": "step ms", "near_ms": "near ms", "empty_ms": "empty ms"}
    parts |= {"ns_per_chunk": "ns a chunk", "ns_to_fetch": "ns to fetch a row"}
    layer = {"core_ms": "core ms", "vs_masked": "masked torch / core", "vs_torch": "torch / core"}
    if "vs_sparseprop" in result["layer"][0]:
        layer["vs_sparseprop"] = "SparseProp / core"
    steps = {"vgg_step_ms": "VGG-16 ms", "vgg_step": "VGG-16, torch dense / core"}
    steps |= {"resnet_step_ms": "ResNet-20 ms", "resnet_step": "ResNet-20, torch dense / core"}
    memory = {"network": "network", "core_mb": "core", "torch_mb": "torch dense", "memory": "torch / core"}
    convolutions = result["convolutions"]
    networks = {"vgg16": "VGG-16 of width 16", "vgg64": "VGG-16 of width 64", "resnet20": "ResNet-20 of width 16"}
    peers = {f"{n}_sparseprop": f"{title}, SparseProp / core" for n, title in networks.items()}
    networks |= {"slowest": "the slowest convolution"} | {n: t for n, t in peers.items() if n in convolutions[0]}
    return f"""# The masked core on this machine

{result["machine"]}: bars for {KINDS[slow_third_level()]}. One thread, instruction set
{result["isa"]}; GEMM (2048³) {result["gemm_gflops"]:.0f} GFLOP/s, copy {result["copy_gbs"]:.1f} GB/s; a row of
{COLUMNS} columns takes {result["second_ns"]:.1f} ns from the second level, {result["third_ns"]:.1f} from the third.
{NEURONS} neurons, d = {DIMENSION}, {COLUMNS} columns, float32. Medians over rounds that interleave everything; a bar in
brackets is for the AVX-512 build.

## A step of gradient descent

{table(result["rows"], time_columns)}

Useful work is 4 x kept weights x columns a step; a ratio above 1 means that the core is faster. What binds is the
largest of three times: that work at the rate of GEMM (arithmetic), a row for every kept weight from the second level
(L2), and every row that some weight reads, once, from the third (L3).

{table(result["rows"], ratios)}

## What bounds a step at low density

The same number of weights where the mask put them; all on the first coordinates, whose rows stay in a near cache
(arithmetic alone); and no weights (activations, class sums, loss). A chunk is one row's 16 columns, multiplied twice:
for the gradient and for the next preactivation. Fetching is what a weight's row costs beyond arithmetic.

{table(result["parts"], parts)}

## The signal-noise decomposition, added to a step (bar: 10 % or 10 µs)

{table(result["rows"], decomposition)}

## A million coordinates, density .001 (bars: 60 ms, 1.1 GB)

{result["large"]["step_ms"]:.1f} ms a step, peak memory {result["large"]["peak_gb"]:.2f} GB.

## A layer of 1024 x 1024 in minibatches of 128, forward and backward

Times as fast as the dense layer times its mask, as the dense layer alone, and as SparseProp ({result["peer"]}).

{table(result["layer"], layer)}

## An epoch of 60,000 examples, 784-1024-1024-10, batches of 128

{table(result["epoch"], {"epoch_s": "core s", "torch_s": "torch dense s", "faster": "torch / core"})}

## A whole training step of networks of width 16, batches of 128

With momentum, decay and everything else, as many times as fast as torch's step of the dense network in the faster
memory format.

{table(result["step"], steps)}

Memory that steps add, torch's in the memory format that takes less, MB:

{table(result["memory"], memory)}

## The convolutions of whole networks, batches of 128, forward and backward

Times as fast as torch's dense convolutions in the faster memory format, and as SparseProp's ({result["peer"]}).

{table(convolutions, networks)}
"""


def picture(result: dict, path: Path) -> None:
    """The roofline: what the core reaches at every density, under the GEMM rate and the copy bandwidth."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    sns.set_theme(context="paper", style="ticks", palette="colorblind")
    figure, axes = plt.subplots(figsize=(4.6, 3.2), layout="constrained")
    intensity = np.geomspace(0.2, 2000, 200)
    roof = np.minimum(result["gemm_gflops"], intensity * result["copy_gbs"])
    axes.loglog(intensity, roof, color="0.4", lw=1)
    axes.annotate("GEMM rate", (300, result["gemm_gflops"]), xytext=(0, -9), textcoords="offset points", fontsize=7)
    axes.annotate("copy bandwidth", (0.24, 0.3 * result["copy_gbs"]), rotation=32, fontsize=7)
    rows = result["rows"]
    x, y = [row["flops_per_byte"] for row in rows], [row["useful_gflops"] for row in rows]
    axes.plot(x, y, "o-", ms=4, lw=1, label="core")
    dense = [row["useful_gflops"] * row["core_ms"] / row["jax_ms"] for row in rows]
    axes.plot(x, dense, "s-", ms=3, lw=1, label="dense, jax.jit")
    for row in rows:
        place = (row["flops_per_byte"], row["useful_gflops"])
        axes.annotate(f"{row['density']:g}", place, xytext=(0, 5), textcoords="offset points", fontsize=6, ha="center")
    axes.set(xlabel="useful FLOP per byte that must move once a step", ylabel="useful GFLOP/s")
    axes.legend(frameon=False, fontsize=7)
    sns.despine(figure)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=200, format="png", metadata={"Software": None})


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def main(arguments: list[str]) -> None:
    """Time the core against dense training."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--core", required=True, type=Path, help="the compiled core")
    parser.add_argument("--out", required=True, type=Path, help="folder for core.json, core.md and core.png")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    import convolutions  # beside this file, which `measure_large` runs from elsewhere
    import layers
    import limits
    import memory

    if hasattr(os, "sched_setaffinity"):  # before jax counts the processors
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    try:
        import jax  # noqa: F401
    except ImportError:
        sys.exit("error: jax is missing; install envs/bench.txt")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    load(options.core)
    result = {"isa": isa(), "machine": processor(), "rounds": options.rounds, "large": measure_large(options.core)}
    result["memory"] = memory.measure(options.core)
    with tempfile.TemporaryDirectory(prefix="sparseprop-") as folder:
        peer = layers.sparseprop(Path(folder))
        result["peer"] = f"left out: {peer}" if isinstance(peer, str) else layers.SPARSEPROP
        print(f"SparseProp: {result['peer']}", file=sys.stderr)
        result["layer"] = layers.measure_layer(options.rounds, seconds, peer)
        result["convolutions"] = convolutions.measure(options.rounds, seconds, peer)
    result["epoch"] = layers.measure_epoch(options.rounds, seconds)
    result["step"] = layers.measure_step(options.rounds, seconds)
    result["parts"] = measure_parts(options.rounds)
    with tempfile.TemporaryDirectory(prefix="rows-") as folder:
        rows, rates = measure_core(options.rounds, limits, Path(folder))
    result |= {"rows": rows, **rates}
    write_json(options.out / "core.json", result)
    with atomic(options.out / "core.md") as temporary:
        temporary.write_text(report(result), encoding="utf-8")
    picture(result, options.out / "core.png")


if __name__ == "__main__":
    main(sys.argv[1:])

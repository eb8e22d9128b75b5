"""What `make bench` times of minibatch networks: a layer, its peers, epochs and steps of training."""

import copy
import itertools
import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from winnow.core import Pattern, masked_linear
from winnow.core.feedforward import Feedforward, Flatten, Linear
from winnow.images import networks, pruning, training
from winnow.images.settings import ImageNetwork, Minibatch
from winnow.randomness import Stream, generator

SIZE, BATCH = 1024, 128
DENSITIES = (1.0, 0.9, 0.7, 0.5, 0.3, 0.1, 0.05, 0.01)
SIZES, EXAMPLES, EPOCH_DENSITIES, STEPS = (784, 1024, 1024, 10), 60_000, (1.0, 0.5, 0.1, 0.03), 20
SPARSEPROP = "sparseprop==0.1.14"  # ICML 2023, sparse forward and backward passes on CPUs
STEP_DENSITIES, CONVOLUTIONAL = (1.0, 0.5, 0.3, 0.1, 0.03), {"vgg": 16, "resnet": 20}
RATE, MOMENTUM, DECAY = 1e-4, 0.9, 1e-4
BUILD = ("pybind11==2.13.6", "setuptools==80.9.0", "wheel==0.45.1")


def sparseprop(folder: Path):
    """SparseProp's modules from an environment of its own, where it is compiled; or why there are none, as text."""
    venv.create(folder, with_pip=True)
    # Its build calls the first pip and python3 of PATH.
    environment = os.environ | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(folder)}
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    for more in (BUILD, ("--no-build-isolation", "--no-deps", SPARSEPROP)):
        done = subprocess.run([*pip, *more], env=environment, capture_output=True, text=True)
        if done.returncode:
            return f"{' '.join(more)} cannot be installed: {done.stderr.strip().splitlines()[-1]}"
    sys.path.append(str(next(folder.glob("lib/python*/site-packages"))))
    try:
        from sparseprop import modules
    except ImportError as error:
        return f"{SPARSEPROP} does not load: {error}"
    return modules


def measure_layer(rounds: int, seconds, peer) -> list[dict]:
    """masked_linear, forward and backward, against mask times weight, the dense layer alone and SparseProp's layer."""
    rows = []
    for density in DENSITIES:
        mask = torch.rand(SIZE, SIZE) < density
        pattern = Pattern.of(mask)
        dense = torch.randn(SIZE, SIZE, requires_grad=True)
        kept = dense.detach()[mask].requires_grad_()
        bias = torch.zeros(SIZE, requires_grad=True)
        x, push = torch.randn(BATCH, SIZE, requires_grad=True), torch.randn(BATCH, SIZE)
        linear, scale, grad = torch.nn.functional.linear, mask.float(), torch.autograd.grad
        ways = {
            "core": lambda: grad(masked_linear(x, kept, pattern, bias), (x, kept, bias), push),  # noqa: B023
            "masked": lambda: grad(linear(x, dense * scale, bias), (x, dense, bias), push),  # noqa: B023
            "torch": lambda: grad(linear(x, dense, bias), (x, dense, bias), push),  # noqa: B023
        }
        if not isinstance(peer, str):
            other = peer.SparseLinear(dense.detach() * mask, torch.nn.Parameter(bias.detach().clone()))
            ways["sparseprop"] = lambda: grad(other(x), (x, other.W_val, other.bias), push)  # noqa: B023
        timings = [{name: seconds(way, 3) for name, way in ways.items()} for _ in range(3 * rounds + 2)][2:]
        rows.append({"density": density, "core_ms": statistics.median(t["core"] for t in timings) * 1e3})
        for name in list(ways)[1:]:
            rows[-1][f"vs_{name}"] = statistics.median(t[name] / t["core"] for t in timings)
        print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def measure_epoch(rounds: int, seconds) -> list[dict]:
    """An epoch of a fully connected network on as many examples as MNIST has, from STEPS steps, against torch's."""
    x, labels = torch.randn(EXAMPLES, SIZES[0]), torch.randint(0, SIZES[-1], (EXAMPLES,))
    dense = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(SIZES)]
    network = torch.nn.Sequential(*[module for layer in dense for module in (layer, torch.nn.ReLU())][:-1])
    parameters = list(network.parameters())

    def by_torch(order):
        for batch in order:
            gradients = torch.autograd.grad(cross_entropy(network(x[batch]), labels[batch]), parameters)
            with torch.no_grad():
                torch._foreach_sub_(parameters, gradients, alpha=0.01)

    def by_core(network, order):
        for batch in order:
            network.step(x[batch], labels[batch], 0.01, 0.0, 0.0, [])

    pruned = {}
    for density in EPOCH_DENSITIES:
        masks = [torch.rand(layer.weight.shape) < density for layer in dense]
        pairs = [(layer.weight.detach(), layer.bias.detach().clone()) for layer in dense]
        layers = [Linear(w[m].clone(), b, Pattern.of(m), True) for (w, b), m in zip(pairs, masks, strict=True)]
        layers[-1].rectify = False
        pruned[density] = Feedforward([Flatten(), *layers])
    timings = []
    for _ in range(rounds + 1):
        order = torch.randperm(EXAMPLES).split(BATCH)[:STEPS]
        one = {"torch": seconds(lambda: by_torch(order))}  # noqa: B023, called here
        one |= {density: seconds(lambda n=n: by_core(n, order)) for density, n in pruned.items()}  # noqa: B023
        timings.append(one)
    timings, scale = timings[1:], EXAMPLES / BATCH / STEPS
    return [
        {
            "density": density,
            "epoch_s": statistics.median(t[density] for t in timings) * scale,
            "torch_s": statistics.median(t["torch"] for t in timings) * scale,
            "faster": statistics.median(t["torch"] / t[density] for t in timings),
        }
        for density in EPOCH_DENSITIES
    ]


def measure_step(rounds: int, seconds) -> list[dict]:
    """A whole training step of convolutional networks, everything included, against torch's of the dense network.

    A ratio is that to torch in the faster memory format, the median over rounds.
    """
    rows = {density: {"density": density} for density in STEP_DENSITIES}
    x, labels = torch.randn(BATCH, 3, 32, 32), torch.arange(BATCH) % 10
    for name, depth in CONVOLUTIONAL.items():
        model = ImageNetwork(architecture=name, depth=depth, width=16)
        dense = networks.build(model, (3, 32, 32), 10, generator(0, "bench", 0, "init"))
        ways = {form: by_torch(dense, x, labels, form) for form in (torch.contiguous_format, torch.channels_last)}
        masks = generator(0, "bench", 0, "mask")
        for density in STEP_DENSITIES:
            ways[density] = by_core(dense, x, labels, density, masks)
        timings = [{way: seconds(step) for way, step in ways.items()} for _ in range(2 * rounds + 1)][1:]
        for density, row in rows.items():
            best = min(list(ways)[:2], key=lambda form: statistics.median(t[form] for t in timings))
            row[f"{name}_step_ms"] = statistics.median(t[density] for t in timings) * 1e3
            row[f"{name}_step"] = statistics.median(t[best] / t[density] for t in timings)
    for row in rows.values():
        print(json.dumps(row), file=sys.stderr)
    return list(rows.values())


def by_core(network: torch.nn.Module, x: torch.Tensor, labels: torch.Tensor, density: float, masks: Stream):
    """A step of the core's, of the network with a random mask."""
    network = copy.deepcopy(network)
    networks.compress(network, pruning.layerwise(networks.prunable(network), 1 - density, masks))
    velocities = [torch.zeros_like(parameter) for parameter in network.parameters()]
    own = networks.on_core(network)
    return lambda: own.step(x, labels, RATE, MOMENTUM, DECAY, velocities)


def by_torch(network: torch.nn.Module, x: torch.Tensor, labels: torch.Tensor, form: torch.memory_format):
    """A step of torch's, in a memory format."""
    network, x = copy.deepcopy(network).to(memory_format=form), x.to(memory_format=form)
    how = Minibatch(momentum=MOMENTUM, weight_decay=DECAY)
    velocities = [torch.zeros_like(parameter) for parameter in network.parameters()]
    return lambda: training.update(cross_entropy(network(x), labels), network, velocities, how, RATE)

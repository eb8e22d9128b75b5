"""What `make bench` reads of memory: how much training steps add to a process, on the core and in torch (Linux)."""

import json
import subprocess
import sys
from pathlib import Path

NETWORKS = {"VGG-16 of width 64": ("vgg", 16, 64), "ResNet-20 of width 16": ("resnet", 20, 16)}
DENSITIES = (1.0, 0.1)
WAYS = ("core", "contiguous_format", "channels_last")


def measure(library: Path) -> list[dict]:
    """A row a network and density: the most that steps on 128 images of 32 x 32 add, MB, of the core and of torch.

    Each in a process of its own; torch's in the memory format that takes less.
    """
    rows = []
    for name, network in NETWORKS.items():
        for density in DENSITIES:
            added = {way: _process(library, way, *network, density) for way in WAYS}
            dense = min(added[way] for way in WAYS[1:])
            rows.append({"density": density, "network": name, "core_mb": added["core"], "torch_mb": dense})
            rows[-1]["memory"] = dense / added["core"]
            print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def _process(*arguments) -> float:
    done = subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True, stdout=subprocess.PIPE)
    return float(done.stdout)


def added(library: str, way: str, architecture: str, depth: str, width: str, density: str) -> float:
    """What three steps add to this process at most, MB."""
    import layers
    import torch

    from winnow import core
    from winnow.images import networks
    from winnow.images.settings import ImageNetwork
    from winnow.randomness import generator

    core.load(Path(library))
    torch.set_num_threads(1)
    model = ImageNetwork(architecture=architecture, depth=int(depth), width=int(width))
    dense = networks.build(model, (3, 32, 32), 10, generator(0, "bench", 0, "init"))
    x, labels = torch.randn(layers.BATCH, 3, 32, 32), torch.arange(layers.BATCH) % 10
    if way == "core":
        step = layers.by_core(dense, x, labels, float(density), generator(0, "bench", 0, "mask"))
    else:
        step = layers.by_torch(dense, x, labels, getattr(torch, way))
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    before = _held("VmRSS")
    for _ in range(3):
        step()
    return _held("VmHWM") - before


def _held(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


if __name__ == "__main__":
    print(added(*sys.argv[1:]))

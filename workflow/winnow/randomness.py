"""Random streams: one independent generator for every (experiment, seed, purpose).

The same seed gives the same data, initial weights and mask uniforms at every pruned fraction, so that masks are
nested and fractions are compared in pairs.
"""

import hashlib

import numpy as np

STREAMS = ("data", "init", "mask", "order", "noise", "augmentation")
DRAWN = []  # the streams of this process as root/experiment/seed/stream: audit/records.py records them


def generator(root_seed: int, experiment: str, seed: int, stream: str) -> np.random.Generator:
    """The generator of one stream; streams never overlap, whatever the names and seeds.

    Raises ValueError for a stream that is not one of STREAMS.
    """
    if stream not in STREAMS:
        raise ValueError(f"stream {stream!r} is not one of {', '.join(STREAMS)}")
    DRAWN.append(f"{root_seed}/{experiment}/{seed}/{stream}")
    name = int.from_bytes(hashlib.sha256(experiment.encode()).digest()[:8], "big")
    key = (name, seed, STREAMS.index(stream))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(root_seed, spawn_key=key)))

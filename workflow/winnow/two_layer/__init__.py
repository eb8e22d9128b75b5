"""The two-layer network of the theory on signal and noise: its data, pruning, network and training."""

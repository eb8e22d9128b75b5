"""Networks on real images: their data, pruning, networks and training."""

"""Winnow: what random pruning at initialization does to gradient descent and generalization."""

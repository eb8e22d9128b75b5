"""Verdicts: statistics, which rows of which runs count, and what they say about the paper's claims."""

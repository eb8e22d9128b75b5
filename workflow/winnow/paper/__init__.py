"""What the paper says: its formulas and its published values."""

"""What figures and claims both read: which rows of which runs count, statistics over seeds, the race."""

"""The form of a new experiment: its state, its parts, where it starts from, what it would run."""

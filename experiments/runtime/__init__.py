"""Runtimes: what executes the model's graph."""

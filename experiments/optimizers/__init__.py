"""Optimizers: what they keep per parameter, and what that costs."""

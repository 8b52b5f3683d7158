"""Runs on other machines: what a node does for a scheduler elsewhere, and the Ray cluster by which the two meet."""

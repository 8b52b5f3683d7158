"""Runtimes: what runs the model in place of plain PyTorch calls."""

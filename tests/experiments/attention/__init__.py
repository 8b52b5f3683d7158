"""Attention: the lesson, the kernels, and the technique that chooses among them."""

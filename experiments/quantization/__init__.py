"""Quantization: weights in fewer bits."""

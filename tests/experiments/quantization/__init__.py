"""Tests of experiments/quantization/."""

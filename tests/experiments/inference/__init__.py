"""Tests of experiments/inference/."""

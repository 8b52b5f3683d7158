"""Tests of experiments/runtime/."""

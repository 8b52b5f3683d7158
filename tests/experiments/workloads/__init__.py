"""Workloads beside generation, on tiny random models."""

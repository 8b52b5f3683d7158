"""Workloads: what is done with a loaded model, and what is measured."""

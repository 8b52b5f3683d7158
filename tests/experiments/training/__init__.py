"""Training techniques and workloads."""

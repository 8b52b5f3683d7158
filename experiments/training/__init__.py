"""Training: what the training workloads read, and the techniques that save memory while training."""

"""Training that is spread over several GPUs or processes."""

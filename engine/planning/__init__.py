"""What a run will take before it runs: memory by arithmetic from a config, and whether it fits. Imports no torch."""

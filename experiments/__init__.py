"""What can be tried: one file per technique and per workload, plus presets and reference results."""

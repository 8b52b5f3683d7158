"""How: contracts, registry, measurement, statistics, the child process and the scheduler."""

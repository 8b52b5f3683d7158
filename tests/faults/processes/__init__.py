"""Faults of processes and of what they need: kills, clocks, a database that goes away. Afterwards no process is left and no row runs."""

"""The scheduler on a real database with real processes: nothing is lost, run twice, or left behind, whoever is killed when."""

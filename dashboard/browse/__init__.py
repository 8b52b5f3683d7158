"""The parts of the Experiments page: its address, its state, facets, table and actions."""

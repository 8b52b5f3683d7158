"""Pixels: forms, views, charts and links. Reads the catalogue through `engine`, numbers through `db.queries`."""

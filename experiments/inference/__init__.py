"""Inference: what the generation loop keeps and reuses."""

"""Attention: which kernel computes softmax(QK')V, and what the fused ones do differently."""

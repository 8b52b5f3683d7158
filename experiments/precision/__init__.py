"""Precision: the dtype that the unquantized tensors are kept and computed in."""

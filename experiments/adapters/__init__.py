"""Adapters: few trainable parameters beside frozen weights."""

"""Faults that are caused for real, by case: what the product promises when something breaks. The cases are in cases.py."""

"""Tests of the Experiments page's parts."""

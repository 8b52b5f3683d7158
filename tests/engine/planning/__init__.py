"""Tests of engine/planning."""

"""Tests of engine/answers."""

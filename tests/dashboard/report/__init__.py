"""Tests of dashboard/report."""

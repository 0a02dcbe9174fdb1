"""Whole models of other frameworks beside the same ones here: python -m benchmarks.models."""

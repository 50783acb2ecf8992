"""Measurements of building: see ``benchmarks/build.py``."""

"""Wheels and the distributions made of them: read, checked, staged, recorded."""

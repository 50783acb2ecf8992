"""Tests: one file for each module, and one for each promise that spans several."""

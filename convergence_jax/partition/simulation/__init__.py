"""Whole clusters under a seed, and an exact oracle that watches them."""

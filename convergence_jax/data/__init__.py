"""Readers, the built-in fleet, configs, result directories and digests."""

"""Clusters of real processes on this machine, their load and their faults."""

"""What normal means: distance from the baseline at every level, and the decision who is unusual."""

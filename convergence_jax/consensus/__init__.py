"""What all observers together say about an agent: evidence, posteriors, bounds under liars, reliability."""

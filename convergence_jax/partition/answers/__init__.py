"""What a node answers, and how certain it is."""

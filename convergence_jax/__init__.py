"""Watch the behaviour of a million agents, with answers that are the same on every tree, device and replica."""

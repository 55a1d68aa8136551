"""From a client's request to the disk, and from the disk to a row."""

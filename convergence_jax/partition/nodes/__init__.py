"""The process of a node, and how it meets its peers and clients."""

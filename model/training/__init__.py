"""From data to trained networks, and from these to integers."""

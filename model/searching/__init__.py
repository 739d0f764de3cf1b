"""The search for a group size of each layer within a budget."""

"""A network compiled for a capability: limits, places, layer table, words, cycles."""

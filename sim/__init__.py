"""Verification: simulation of the very RTL that is synthesised."""

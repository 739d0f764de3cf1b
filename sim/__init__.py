"""Verification: simulation of the very RTL that is synthesised."""

from model.errors import starting

starting()

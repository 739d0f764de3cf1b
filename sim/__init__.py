"""Simulation of the very RTL that is synthesised: verification, and a transport for host code."""

"""Hypothesis draws networks, and shrinks them to fewer and smaller layers."""

from dataclasses import replace

from hypothesis import strategies as st

from sim.networks import Limits, random_network

__all__ = ["networks"]


def networks(limits: Limits | None = None):
    """Strategy: networks within `limits`."""
    limits = limits or Limits()

    def build(layers, pixels, channels, seed):
        smaller = replace(limits, layers=layers, max_pixels=pixels, channels=channels)
        return random_network(seed, smaller)

    return st.builds(
        build,
        layers=st.integers(1, limits.layers),
        pixels=st.integers(limits.min_pixels, limits.max_pixels),
        channels=st.integers(1, limits.channels),
        seed=st.integers(0, 2**32 - 1),
    )

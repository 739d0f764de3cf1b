"""What the families' PLL solvers share: ranges, and the choice among clocks that can be made."""

from collections.abc import Mapping
from typing import TypeVar

__all__ = ["choose_clock", "within"]

Settings = TypeVar("Settings")


def within(value: float, limits: tuple[float, float]) -> bool:
    """Whether a frequency lies in a range, its ends included."""
    return limits[0] <= value <= limits[1]


def choose_clock(
    clocks: Mapping[float, Settings],
    *,
    input_hz: int,
    output_hz: int,
    input_limits: tuple[float, float],
) -> Settings:
    """The settings of `clocks`, by their output frequency in Hz, that make `output_hz` to 1 Hz.

    Raises
    ------
    ValueError
        There are none, which means that the input leaves its limits; or the clock is not
        reachable, and the text names the nearest one.
    """
    if not clocks:
        raise ValueError(
            f"PLL input must be from {input_limits[0] / 1e6:g} to {input_limits[1] / 1e6:g} MHz, "
            f"not {input_hz / 1e6:g} MHz"
        )
    nearest = min(clocks, key=lambda one: (abs(one - output_hz), one))
    if abs(nearest - output_hz) >= 1:
        raise ValueError(
            f"Clock of {output_hz / 1e6:g} MHz is not reachable from {input_hz / 1e6:g} MHz; "
            f"the nearest is {nearest / 1e6:g} MHz"
        )
    return clocks[nearest]

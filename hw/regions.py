"""The engine's memories that a host reaches: their numbers, and where each lies on the bus.

Hardware, register map (``hw.register_map``) and planner take them from here. Nothing here needs
Amaranth.
"""

from enum import IntEnum

__all__ = ["WINDOW_SIZE", "Region", "window_base"]


class Region(IntEnum):
    """Memories that the host reaches, as ``mem_region`` numbers them."""

    WEIGHTS = 0
    IMAGE = 1
    ACTIVATIONS = 2
    PARAMETERS = 3
    LAYERS = 4
    LOGITS = 5


_WINDOW_BASE = 0x20_0000

WINDOW_SIZE = 0x4_0000
"""Bytes on the bus that each memory's window takes."""


def window_base(region: Region) -> int:
    """Byte address on the bus of the memory's first word."""
    return _WINDOW_BASE + region * WINDOW_SIZE

"""What travels beside a lane through the drain, and a channel's parameters."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from hw.capability import Capability
from hw.parameter_word import parameter_fields

__all__ = ["INDEX_BITS", "ends_layout", "flags_layout", "parameter_layout"]

#: Bits of a channel's index in its group. A classifier's group is all its classes.
INDEX_BITS = 8


def ends_layout() -> data.StructLayout:
    """A channel is complete (``valid``), and is the last of its pixel, of the layer."""
    return data.StructLayout({"valid": 1, "pixel": 1, "layer": 1})


def flags_layout() -> data.StructLayout:
    """A channel's sum: its place in its group, what is compared by S, and what ends with it.

    ``first`` and ``last`` are of the group. ``starts`` and ``ends`` are of what is compared by S:
    the group, or the channel alone.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "first": 1,
            "last": 1,
            "starts": 1,
            "ends": 1,
            "pixel": 1,
            "layer": 1,
            "index": INDEX_BITS,
        }
    )


def parameter_layout(capability: Capability) -> data.StructLayout:
    """One channel's word of parameter memory: multiplier m, bias b, residual factor r."""
    return data.StructLayout(
        {
            field.name: signed(field.width) if field.signed else unsigned(field.width)
            for field in parameter_fields(capability)
        }
    )

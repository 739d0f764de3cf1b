"""The layer table: one description, from which hardware reads and the plan writes it.

A layer is :data:`ENTRY_WORDS` words of 16 bits. Each word holds one or more fields, lowest bits
first. Record addresses count records: (word address) x (records per word) + (record in word), or
image bytes.
"""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from ..capability import address_bits

__all__ = [
    "ENTRY_WORDS",
    "INITIAL",
    "LAST_WORD",
    "layer_layout",
    "loads_layout",
    "pack_layer",
    "table_fields",
]

ENTRY_WORDS = 32


def table_fields(capability):
    """Words of a layer entry: a tuple of tuples of (field, shape)."""
    record = unsigned(capability.record_address_bits)
    weight = unsigned(capability.weight_address_bits)
    step = unsigned(min(9, capability.record_address_bits))  # records of a pixel
    channels = unsigned(min(11, capability.weight_address_bits))
    size = unsigned(capability.size_bits)
    start = signed(capability.size_bits + 1)
    lanes = unsigned(address_bits(capability.lanes))
    groups = unsigned(8)
    group = unsigned(capability.winner_bits + 1)
    drain = unsigned(address_bits(4 * capability.lanes))
    winner = unsigned(capability.winner_bits)
    return (
        (
            ("image", unsigned(1)),  # the source is the image
            ("projection", unsigned(1)),  # there is a projection shortcut
            ("projection_image", unsigned(1)),  # its source is the image
            ("identity", unsigned(1)),  # there is an identity residual
            ("before", unsigned(1)),  # the winner is taken before requantising
            ("binary", unsigned(1)),  # Q > 0 becomes 1
            ("wide", unsigned(1)),  # weights of two slices
            ("classifier", unsigned(1)),  # logits and decision instead of records
            ("final", unsigned(1)),  # the last layer
            ("exponent", unsigned(3)),  # projection: shift of its values
        ),
        (("kernel_height", size), ("kernel_width", size)),  # less 1, as is the next row
        (("input_height", size), ("input_width", size)),
        # Coordinates of the window's first tap: of the first output pixel, of the last one.
        (("start_y", start), ("start_x", start)),
        (("last_y", start), ("last_x", start)),
        (("stride", unsigned(4)), ("tiles", unsigned(6))),  # less 1, both
        (
            ("tile_lanes", lanes),  # of the last tile, less 1
            ("lane_cycles", unsigned(2)),  # less 1: drain cycles a lane
            ("maximum", unsigned(capability.activation_bits)),
        ),
        (("drain_cycles", drain), ("last_drain_cycles", drain)),  # of a tile, less 1
        (("kernel_x_step", step),),  # record address: to the next tap of a row, and next pixel
        (("kernel_return", record),),  # from a row's last tap to the next row's first
        (("line_return", record),),  # from a line's last window to the next line's first
        (("groups", groups), ("group", group)),  # groups less 1, group size of the source
        (("weights", weight),),
        (("weight_step", channels),),  # weight words of a tap; 0: all taps share them
        (("tile_step", channels),),  # weight words from the last kernel tap to the next tile
        (("projection_x_step", record),),
        (("projection_return", record),),
        (("projection_groups", groups), ("projection_group", group)),
        (("output_group", unsigned(8)), ("identity_group", winner)),  # less 1
        (("parameters", unsigned(address_bits(capability.parameter_words))),),
        # Only needed once, when a layer begins.
        (("source", record),),  # address of the window at output pixel (0, 0), padding included
        (("projection_source", record),),
        (("output", record),),
        (("identity_source", record),),
    )


#: Index of the last word that holds fields.
LAST_WORD = 23


#: Fields that a component takes over while the table is read, when its bit of `loads` is set:
#: they are not kept.
INITIAL = ("start_y", "source", "projection_source", "output", "identity_source")


def loads_layout():
    """One bit for each of the `INITIAL` fields: it stands in `layer` in this cycle."""
    return data.StructLayout(dict.fromkeys(INITIAL, 1))


def layer_layout(capability):
    """All fields of a layer as one `amaranth.lib.data.StructLayout`."""
    words = table_fields(capability)
    assert len(words) == LAST_WORD + 1
    return data.StructLayout({name: shape for word in words for name, shape in word})


def pack_layer(capability, values):
    """The ENTRY_WORDS words of a layer whose fields are `values` (a dict, all fields).

    Raises ValueError where a value leaves its field: a plan that was not checked.
    """
    words = []
    remaining = dict(values)
    for fields in table_fields(capability):
        word, offset = 0, 0
        for name, shape in fields:
            value = remaining.pop(name)
            shape = shape if not isinstance(shape, int) else unsigned(shape)
            low = -(1 << shape.width - 1) if shape.signed else 0
            high = (1 << shape.width - shape.signed) - 1
            if not low <= value <= high:
                raise ValueError(f"Layer table field {name} must be {low} to {high}, not {value}")
            word |= (value & ((1 << shape.width) - 1)) << offset
            offset += shape.width
        if offset > 16:
            raise ValueError(f"Layer table word {len(words)} is {offset} bits wide, not 16 at most")
        words.append(word)
    if remaining:
        raise ValueError(f"Layer table has no fields {', '.join(remaining)}")
    return words + [0] * (ENTRY_WORDS - len(words))

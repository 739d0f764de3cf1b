"""The layer table's entries as hardware sees them: `hw.layer_entry` as Amaranth's struct."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from hw.layer_entry import entry_shapes

__all__ = ["INITIAL", "layer_layout", "loads_layout"]

#: Fields that a component takes over while the table is read, when its bit of `loads` is set:
#: they are not kept.
INITIAL = ("start_y", "source", "projection_source", "output", "identity_source")


def loads_layout():
    """One bit for each of the `INITIAL` fields: it stands in `layer` in this cycle."""
    return data.StructLayout(dict.fromkeys(INITIAL, 1))


def layer_layout(capability):
    """All fields of a layer as one `amaranth.lib.data.StructLayout`."""
    return data.StructLayout(
        {
            name: signed(field.width) if field.signed else unsigned(field.width)
            for name, field in entry_shapes(capability).items()
        }
    )

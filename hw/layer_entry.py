"""One layer as the hardware is told it: the typed entry of the layer table.

The one description of each field: its meaning, its unit, its width, how it is stored. From it come
the hardware's struct (`hw.engine.layout`), the words that a host loads, the planner's limits, and
what the simulation counts as exercised (`sim.conformance`).

An entry is `ENTRY_WORDS` words of 16 bits; each holds one or more fields, lowest bits first.
"""

from collections.abc import Callable
from dataclasses import Field, asdict, dataclass, field, fields
from functools import cache
from itertools import groupby
from typing import Any

from hw.capability import OPERAND_BITS, Capability, address_bits

__all__ = ["ENTRY_WORDS", "LAST_WORD", "FieldShape", "LayerEntry", "entry_shapes", "table_words"]

ENTRY_WORDS = 32
"""Words of an entry, those without fields included: a power of two, so that an index is shifted."""

WORD_BITS = 16

Width = int | Callable[[Capability], int]


def _record(capability: Capability) -> int:
    return capability.record_address_bits


def _weight(capability: Capability) -> int:
    return capability.weight_address_bits


def _size(capability: Capability) -> int:
    return capability.size_bits


def _step(capability: Capability) -> int:
    return min(9, capability.record_address_bits)


def _channels(capability: Capability) -> int:
    return min(11, capability.weight_address_bits)


def _parameters(capability: Capability) -> int:
    return address_bits(capability.parameter_words)


def _drain(capability: Capability) -> int:
    return address_bits(4 * capability.lanes)


_GROUPS = 8  # bits of a number of groups


def _field(
    word: int,
    width: Width,
    meaning: str,
    *,
    unit: str = "",
    offset: int = 0,
    signed: bool = False,
    **default: Any,
) -> Any:
    """A field in `word`; stored is its value less `offset`."""
    about = {"word": word, "width": width, "meaning": meaning, "unit": unit, "offset": offset,
             "signed": signed}  # fmt: skip
    return field(metadata=about, **default)


@dataclass(frozen=True, kw_only=True)
class LayerEntry:
    """One layer: values as people count them, stored as the hardware wants them.

    Record addresses count records: (word address) × (records of a word) + (record of the word), or
    image bytes; they wrap around at their width. Weight addresses count words of P slices.
    """

    image: int = _field(0, 1, "the source is the image")
    projection: int = _field(0, 1, "there is a projection shortcut", default=0)
    projection_image: int = _field(0, 1, "the shortcut's source is the image", default=0)
    identity: int = _field(0, 1, "there is an identity residual", default=0)
    before: int = _field(0, 1, "the winner is taken before requantising")
    binary: int = _field(0, 1, "a value above 0 becomes 1")
    wide: int = _field(0, 1, "weights of two slices")
    classifier: int = _field(0, 1, "logits and a decision instead of records")
    final: int = _field(0, 1, "the last layer of the frame")
    exponent: int = _field(0, address_bits(OPERAND_BITS), "shift of the shortcut's values",
                           unit="bits", default=0)  # fmt: skip
    kernel_height: int = _field(1, _size, "kernel height", unit="taps", offset=1)
    kernel_width: int = _field(1, _size, "kernel width", unit="taps", offset=1)
    input_height: int = _field(2, _size, "height of the source", unit="pixels", offset=1)
    input_width: int = _field(2, _size, "width of the source", unit="pixels", offset=1)
    start_y: int = _field(3, _size, "line of the first window's first tap; negative in the padding",
                          unit="pixels", signed=True)  # fmt: skip
    start_x: int = _field(3, _size, "its column", unit="pixels", signed=True)
    last_y: int = _field(4, _size, "line of the last window's first tap", unit="pixels",
                         signed=True)  # fmt: skip
    last_x: int = _field(4, _size, "its column", unit="pixels", signed=True)
    stride: int = _field(5, 4, "from window to window", unit="pixels", offset=1)
    tiles: int = _field(5, 6, "tiles of P lanes that the output's channels take", unit="tiles",
                        offset=1)  # fmt: skip
    tile_lanes: int = _field(6, lambda one: address_bits(one.lanes), "lanes of the last tile",
                             unit="lanes", offset=1)  # fmt: skip
    lane_cycles: int = _field(6, 2, "from lane to lane in the drain", unit="cycles", offset=1)
    maximum: int = _field(6, lambda one: one.activation_bits, "largest value of a record")
    drain_cycles: int = _field(7, _drain, "drain of a full tile", unit="cycles", offset=1)
    last_drain_cycles: int = _field(7, _drain, "drain of the last tile", unit="cycles", offset=1)
    kernel_x_step: int = _field(8, _step, "record address: to the next tap of a row and the next "
                                "pixel", unit="records")  # fmt: skip
    kernel_return: int = _field(9, _record, "record address: from a row's last tap to the next "
                                "row's first", unit="records")  # fmt: skip
    line_return: int = _field(10, _record, "record address: from a line's last window to the next "
                              "line's first", unit="records")  # fmt: skip
    groups: int = _field(11, _GROUPS, "groups of the source", unit="groups", offset=1)
    group: int = _field(11, lambda one: one.winner_bits + 1, "group size of the source",
                        unit="feature maps")  # fmt: skip
    weights: int = _field(12, _weight, "address of the first weight word", unit="words")
    weight_step: int = _field(13, _channels, "weight words of a tap; 0: all taps share them",
                              unit="words")  # fmt: skip
    tile_step: int = _field(14, _channels, "weight words from the kernel's last tap to the next "
                            "tile", unit="words")  # fmt: skip
    projection_x_step: int = _field(15, _record, "record address of the shortcut: to the next "
                                    "pixel", unit="records", default=0)  # fmt: skip
    projection_return: int = _field(16, _record, "record address of the shortcut: to the next "
                                    "line", unit="records", default=0)  # fmt: skip
    projection_groups: int = _field(17, _GROUPS, "groups of the shortcut's source", unit="groups",
                                    offset=1, default=1)  # fmt: skip
    projection_group: int = _field(17, lambda one: one.winner_bits + 1, "its group size",
                                   unit="feature maps", default=0)  # fmt: skip
    output_group: int = _field(18, _GROUPS, "group size of the output", unit="feature maps",
                               offset=1)  # fmt: skip
    identity_group: int = _field(18, lambda one: one.winner_bits, "group size of the residual",
                                 unit="feature maps", offset=1, default=1)  # fmt: skip
    parameters: int = _field(19, _parameters, "address of the first channel's parameters",
                             unit="channels")  # fmt: skip
    # Only needed once, when a layer begins.
    source: int = _field(20, _record, "record address of the window at output pixel (0, 0), "
                         "padding included", unit="records")  # fmt: skip
    projection_source: int = _field(21, _record, "record address of the shortcut's first pixel",
                                    unit="records", default=0)  # fmt: skip
    output: int = _field(22, _record, "record address of the first output", unit="records")
    identity_source: int = _field(23, _record, "record address of the residual's first pixel",
                                  unit="records", default=0)  # fmt: skip

    def stored(self) -> dict[str, int]:
        """The values as the fields of the hardware hold them."""
        return {
            one.name: value - one.metadata["offset"]
            for one, value in zip(fields(self), asdict(self).values(), strict=True)
        }

    def words(self, capability: Capability) -> list[int]:
        """The `ENTRY_WORDS` words of this layer.

        Raises `ValueError` where a value leaves its field: a plan that was not checked.
        """
        words = [0] * ENTRY_WORDS
        stored = self.stored()
        for word, shapes in enumerate(table_words(capability)):
            position = 0
            for shape in shapes:
                value = getattr(self, shape.name)
                if not shape.least <= value <= shape.most:
                    raise ValueError(
                        f"Layer table field {shape.name} must be {shape.least} to {shape.most}, "
                        f"not {value}"
                    )
                words[word] |= (stored[shape.name] & (1 << shape.width) - 1) << position
                position += shape.width
        return words


LAST_WORD: int = max(one.metadata["word"] for one in fields(LayerEntry))
"""Index of the last word that holds fields."""


@dataclass(frozen=True, kw_only=True)
class FieldShape:
    """A field of the layer table on a capability.

    ``width``: bits, the sign's included; ``least``, ``most``: values of the entry that it holds.
    """

    name: str
    word: int
    width: int
    signed: bool
    least: int
    most: int
    unit: str
    meaning: str


@cache
def entry_shapes(capability: Capability) -> dict[str, FieldShape]:
    """The fields of the layer table by name, in their order."""
    return {one.name: _shape(one, capability) for one in fields(LayerEntry)}


def _shape(one: Field, capability: Capability) -> FieldShape:
    about = one.metadata
    width = about["width"](capability) if callable(about["width"]) else about["width"]
    width += about["signed"]
    low = -(1 << width - 1) if about["signed"] else 0
    return FieldShape(
        name=one.name,
        word=about["word"],
        width=width,
        signed=about["signed"],
        least=low + about["offset"],
        most=low + (1 << width) - 1 + about["offset"],
        unit=about["unit"],
        meaning=about["meaning"],
    )


def table_words(capability: Capability) -> list[tuple[FieldShape, ...]]:
    """The fields of each word, lowest bits first.

    Raises `ValueError` where they are wider than a word: the capability's parameters clash.
    """
    words = [tuple(found) for _, found in groupby(entry_shapes(capability).values(),
                                                  key=lambda one: one.word)]  # fmt: skip
    for shapes in words:
        if sum(shape.width for shape in shapes) > WORD_BITS:
            names = ", ".join(shape.name.replace("_", " ") for shape in shapes)
            raise ValueError(f"Layer table words hold {WORD_BITS} bits; {names} need more together")
    return words

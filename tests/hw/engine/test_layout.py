"""The layer table: packing, and what does not fit a field."""

import pytest

from hw.capability import Capability
from hw.engine.layout import ENTRY_WORDS, LAST_WORD, layer_layout, pack_layer, table_fields
from tests.hw.bus.helpers import seeded

CAPABILITY = Capability()


def shapes():
    return {name: shape for word in table_fields(CAPABILITY) for name, shape in word}


def bounds(shape):
    low = -(1 << shape.width - 1) if shape.signed else 0
    return low, low + (1 << shape.width) - 1


def unpack(words):
    """What the words say, read as the documentation describes them."""
    values = {}
    for word, fields in zip(words, table_fields(CAPABILITY), strict=False):
        for name, shape in fields:
            value = word & (1 << shape.width) - 1
            if shape.signed and value >> shape.width - 1:
                value -= 1 << shape.width
            values[name] = value
            word >>= shape.width
        assert word == 0
    return values


def test_every_word_fits_16_bits():
    for fields in table_fields(CAPABILITY):
        assert sum(shape.width for _, shape in fields) <= 16
    assert len(table_fields(CAPABILITY)) == LAST_WORD + 1 <= ENTRY_WORDS
    assert dict(layer_layout(CAPABILITY)).keys() == shapes().keys()


@pytest.mark.parametrize("seed", range(5))
def test_round_trip(seed):
    rng = seeded(seed)
    values = {name: rng.randint(*bounds(shape)) for name, shape in shapes().items()}
    words = pack_layer(CAPABILITY, values)
    assert len(words) == ENTRY_WORDS
    assert unpack(words) == values


@pytest.mark.parametrize("name", sorted(shapes()))
def test_out_of_range(name):
    low, high = bounds(shapes()[name])
    zero = dict.fromkeys(shapes(), 0)
    for value in (low - 1, high + 1):
        with pytest.raises(
            ValueError, match=f"^Layer table field {name} must be {low} to {high}, not {value}$"
        ):
            pack_layer(CAPABILITY, zero | {name: value})


def test_unknown_field():
    with pytest.raises(ValueError, match="^Layer table has no fields colour$"):
        pack_layer(CAPABILITY, dict.fromkeys(shapes(), 0) | {"colour": 1})


def test_missing_field():
    values = dict.fromkeys(shapes(), 0)
    del values["stride"]
    with pytest.raises(KeyError, match="stride"):
        pack_layer(CAPABILITY, values)

"""The layer table: what an entry's words say, and what does not fit a field."""

from dataclasses import fields, replace

import pytest

from hw.capability import Capability
from hw.engine.layout import INITIAL, layer_layout
from hw.layer_entry import ENTRY_WORDS, LAST_WORD, LayerEntry, entry_shapes, table_words
from tests.hw.bus.helpers import seeded

CAPABILITY = Capability()
SHAPES = entry_shapes(CAPABILITY)
LEAST = LayerEntry(**{name: shape.least for name, shape in SHAPES.items()})


def unpack(words):
    """What the words say, read as the documentation describes them."""
    values = {}
    for word, shapes in zip(words, table_words(CAPABILITY), strict=False):
        for shape in shapes:
            value = word & (1 << shape.width) - 1
            if shape.signed and value >> shape.width - 1:
                value -= 1 << shape.width
            values[shape.name] = value
            word >>= shape.width
        assert word == 0
    return values


def test_fields_stand_in_the_order_of_their_words():
    assert [one.name for one in fields(LayerEntry)] == list(SHAPES)
    numbers = [shape.word for shape in SHAPES.values()]
    assert numbers == sorted(numbers)
    assert sorted(set(numbers)) == list(range(LAST_WORD + 1)) and LAST_WORD < ENTRY_WORDS
    assert all(shape.meaning for shape in SHAPES.values())


@pytest.mark.parametrize(
    "capability",
    [
        CAPABILITY,
        Capability(family="generic", lanes=64, size_bits=7, winner_bits=7, activation_bits=8,
                   multiplier_bits=12, requantise_bits=16, records_per_word=2, accumulator_bits=24,
                   weight_words=65536, parameter_words=65536, activation_words=32768),
        Capability(family="generic", lanes=8, size_bits=1, winner_bits=1, activation_bits=1,
                   records_per_word=8, accumulator_bits=16, weight_words=4, parameter_words=1,
                   activation_words=4, logit_words=2, image_bytes=4),
    ],
    ids=["usual", "largest", "smallest"],
)  # fmt: skip
def test_every_word_fits_16_bits(capability):
    """Whatever a capability may be: its own limits see to it."""
    for shapes in table_words(capability):
        assert sum(shape.width for shape in shapes) <= 16


def test_the_hardware_has_the_same_fields():
    layout = dict(layer_layout(CAPABILITY))
    assert list(layout) == list(SHAPES)
    for name, field in layout.items():
        shape = field.shape
        assert (shape.width, shape.signed) == (SHAPES[name].width, SHAPES[name].signed)
    assert set(INITIAL) <= set(SHAPES)


@pytest.mark.parametrize("seed", range(5))
def test_round_trip(seed):
    rng = seeded(seed)
    values = {name: rng.randint(shape.least, shape.most) for name, shape in SHAPES.items()}
    entry = LayerEntry(**values)
    words = entry.words(CAPABILITY)
    assert len(words) == ENTRY_WORDS
    assert unpack(words) == entry.stored()


def test_stored_less_one():
    """By hand, from the hardware's side: sizes and counts less 1, everything else as it is."""
    stored = replace(LEAST, kernel_height=3, stride=2, groups=5, group=4, start_y=-1).stored()
    assert (stored["kernel_height"], stored["stride"], stored["groups"]) == (2, 1, 4)
    assert (stored["group"], stored["start_y"], stored["weights"]) == (4, -1, 0)
    words = replace(LEAST, kernel_height=3, kernel_width=2, start_y=-1, start_x=1).words(CAPABILITY)
    assert words[1] == 2 | 1 << 6
    assert words[3] == 0x7F | 1 << 7


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_out_of_range(name):
    shape = SHAPES[name]
    for value in (shape.least - 1, shape.most + 1):
        with pytest.raises(ValueError) as caught:
            replace(LEAST, **{name: value}).words(CAPABILITY)
        assert str(caught.value) == (
            f"Layer table field {name} must be {shape.least} to {shape.most}, not {value}"
        )


def test_unknown_and_missing_fields():
    with pytest.raises(TypeError, match="colour"):
        LayerEntry(**LEAST.stored(), colour=1)
    with pytest.raises(TypeError, match="stride"):
        LayerEntry(image=1)

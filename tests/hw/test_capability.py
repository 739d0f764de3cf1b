"""The generator's parameters: what they derive, and what they refuse."""

from dataclasses import replace

import pytest

from hw.capability import Capability, address_bits


def test_derived():
    one = Capability()
    assert (one.record_bits, one.word_bits, one.largest_group) == (6, 24, 4)
    assert (one.bank_words, one.bank_bits, one.sub_bits) == (1024, 10, 2)
    assert one.record_address_bits == 13  # bank, word, record; an image byte needs 12
    assert one.weight_address_bits == 14
    assert one.bus_words_per_weight_word == 2
    assert replace(one, image_bytes=32768).record_address_bits == 15
    small = Capability(weight_words=4096)
    assert (small.processor_words, small.weight_depth, small.weight_address_bits) == (0, 4096, 12)
    # The processor's words are behind the networks', which get no more than before.
    with_processor = replace(small, processor_words=1)
    assert with_processor.weight_words == 4096
    assert (with_processor.weight_depth, with_processor.weight_address_bits) == (4097, 13)
    assert replace(one, weight_words=14336, processor_words=2048).weight_depth == 16384


@pytest.mark.parametrize(
    "depth, bits", [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (16384, 14), (16385, 15)]
)
def test_address_bits(depth, bits):
    assert address_bits(depth) == bits


NUMBERS = [name for name in Capability.__dataclass_fields__ if name != "family"]
OPTIONAL = ("processor_words", "pipeline")  # may be 0


@pytest.mark.parametrize(
    "name, value",
    [
        (name, value)
        for name in NUMBERS
        for value in (0, -2)
        if (name, value) not in [(one, 0) for one in OPTIONAL]
    ],
)
def test_not_positive(name, value):
    words = name.replace("_", " ").capitalize()
    with pytest.raises(ValueError, match=f"^{words} must be a positive integer, not {value}$"):
        Capability(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["16", 16.0, True, None])
def test_no_integer(name, value):
    words = name.replace("_", " ").capitalize()
    with pytest.raises(TypeError, match=f"^{words} must be an integer, not {value!r}$"):
        Capability(**{name: value})


@pytest.mark.parametrize(
    "values, text",
    [
        ({"family": "gowin"}, "Family must be one of ice40, ecp5, generic, not 'gowin'"),
        ({"lanes": 12}, "Lanes must be a multiple of 8, not 12"),
        ({"lanes": 24}, "Lanes must be a power of two, not 24"),
        ({"records_per_word": 3}, "Records per word must be a power of two, not 3"),
        ({"logit_words": 100}, "Logit words must be a power of two, not 100"),
        ({"activation_bits": 9}, "Activation bits must be at most 8, not 9"),
        ({"pipeline": 2}, "Pipeline must be at most 1, not 2"),
        (
            {"bias_bits": 21},
            "Multiplier, bias and factor bits must be at most 48, not 49",
        ),
        (
            {"multiplier_bits": 3, "requantise_bits": 8},
            "Multiplier bits must be at least the activation bits, 4: a smaller multiplier never "
            "reaches the largest value; not 3",
        ),
        (
            {"requantise_bits": 12},
            "Requantise bits must be more than 12, which the requantiser drops of a product with "
            "16 multiplier bits; not 12",
        ),
        (
            {"winner_bits": 5},
            "A word of 4 records must be at most 32 bits wide, not 36",
        ),
        (
            {"accumulator_bits": 25},
            "A word of activation memory must hold a logit of 25 bits, not only 24",
        ),
        (
            {"activation_words": 2000},
            "Activation words must be a multiple of 256 (two banks, logits), not 2000",
        ),
        ({"image_bytes": 3070}, "Image bytes must be a multiple of 4, not 3070"),
        (
            {"weight_words": 16385},
            "Weight words and the processor's must be at most 16384 together (the depth of an "
            "SPRAM), not 16385",
        ),
        (
            {"weight_words": 14337, "processor_words": 2048},
            "Weight words and the processor's must be at most 16384 together (the depth of an "
            "SPRAM), not 16385",
        ),
        (
            {"family": "generic", "weight_words": 65536, "processor_words": 1},
            "Memories must be addressed by 16 bits at most",
        ),
        (
            {"family": "generic", "weight_words": 65537},
            "Memories must be addressed by 16 bits at most",
        ),
        ({"image_bytes": 65540}, "Memories must be addressed by 16 bits at most"),
    ],
)
def test_refused(values, text):
    with pytest.raises(ValueError) as caught:
        Capability(**values)
    assert str(caught.value) == text


def test_the_family_chooses_the_pipeline():
    """Unless a pipeline is given."""
    assert [Capability(family=name).pipeline for name in ("ice40", "generic")] == [0, 0]
    assert Capability(pipeline=1).pipeline == 1
    assert replace(Capability(pipeline=1), lanes=8).pipeline == 1

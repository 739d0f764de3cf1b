"""The parameter word: fields side by side, and the hardware's struct is the same."""

import random
from itertools import product

import pytest

from hw.capability import PARAMETER_BITS, Capability
from hw.engine.drain.layouts import parameter_layout
from hw.parameter_word import pack_parameters, parameter_fields

CAPABILITIES = [
    Capability(),
    Capability(multiplier_bits=14, bias_bits=22, factor_bits=9),
]


@pytest.mark.parametrize("capability", CAPABILITIES, ids=["default", "other widths"])
def test_packs_as_the_struct_of_the_hardware(capability):
    """The extremes of all fields together, and values between."""
    layout = parameter_layout(capability)
    fields = parameter_fields(capability)
    cases = list(product(*((field.least, field.most) for field in fields)))
    generator = random.Random(1)
    cases += [[generator.randint(one.least, one.most) for one in fields] for _ in range(20)]
    for case in cases:
        values = dict(zip((field.name for field in fields), case, strict=True))
        word = pack_parameters(capability, **values)
        assert word == layout.const(values).as_bits()
        assert word < 1 << PARAMETER_BITS


def test_known_word():
    word = pack_parameters(Capability(), multiplier=0x1234, bias=-2, factor=-1)
    assert word == 0xFFF_FFFFE_1234


@pytest.mark.parametrize(
    "values, text",
    [
        ({"multiplier": 65536}, "Parameter multiplier must be 0 to 65535, not 65536"),
        ({"multiplier": -1}, "Parameter multiplier must be 0 to 65535, not -1"),
        ({"bias": 2**19}, "Parameter bias must be -524288 to 524287, not 524288"),
        ({"factor": -2049}, "Parameter factor must be -2048 to 2047, not -2049"),
    ],
)
def test_values_outside_of_their_fields(values, text):
    with pytest.raises(ValueError) as caught:
        pack_parameters(Capability(), **{"multiplier": 0, "bias": 0, "factor": 0} | values)
    assert str(caught.value) == text

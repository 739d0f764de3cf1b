"""The capability in the registers of the accelerator, there and back."""

import dataclasses

import pytest

from hw.capability import Capability
from hw.register_map import REGISTER_MAP, constant_words
from hw.soc.accelerator_registers import CAPABILITY, capability_from_words, capability_words


def test_capability_round_trip():
    capability = Capability(
        family="generic", lanes=32, weight_words=60000, winner_bits=4,
        activation_words=4096,
    )  # fmt: skip
    words = constant_words(capability=capability, clock_hz=36_000_000)
    assert set(words) == {one.name for one in REGISTER_MAP.registers if one.constant}
    assert words["ID"] == 0x4448414D and words["VERSION"] == 0x2_0001 == REGISTER_MAP.version
    assert words["CLOCK_HZ"] == 36_000_000
    assert words["ARRAY"] == 0x0101_0020
    assert capability_from_words(words) == capability
    board = Capability(weight_words=14336, processor_words=2048)
    # The processor's words are no network's: a host sees only what is left.
    assert capability_from_words(capability_words(board), family="ice40") == dataclasses.replace(
        board, processor_words=0
    )


def test_capability_that_no_engine_has():
    words = capability_words(Capability())
    with pytest.raises(ValueError, match=r"^Capability slots must be 1, not 2$"):
        capability_from_words({**words, "ARRAY": 0x0102_0010})
    with pytest.raises(ValueError, match=r"^Lanes must be a multiple of 8, not 17$"):
        capability_from_words({**words, "ARRAY": 0x0101_0011})


def test_every_capability_is_told():
    """A parameter of the engine that has no register would be lost on the way to the host."""
    told = {field.name.lower() for one in REGISTER_MAP.registers for field in one.fields}
    untold = {"family", "processor_words", "pipeline"}  # no network depends on them
    missing = {one.name for one in dataclasses.fields(Capability)} - told - untold
    assert not missing


def test_what_is_fixed_is_the_capability_but_for_three():
    fixed = [one.name for one in REGISTER_MAP.registers if one.constant]
    assert fixed == ["ID", "VERSION", "CLOCK_HZ", *(one.name for one in CAPABILITY)]

"""`hw.soc.addresses`: where the processor's memory and the copies of its code lie."""

import re
import zlib

import pytest

from hw.boards import BOARDS
from hw.capability import Capability
from hw.register_map import REGISTER_MAP
from hw.soc.accelerator import ADDRESS_WIDTH
from hw.soc.addresses import (
    COPY_DISTANCE,
    FIRMWARE_BYTES,
    FIRMWARE_COPIES,
    FLASH_BASE,
    FLASH_SIZE,
    Memory,
    firmware_copy,
    processor_memory,
)
from hw.soc.stream import CRC_RESIDUE


def test_the_icebreakers():
    capability = BOARDS["icebreaker"].capability
    memory = processor_memory(capability)
    assert memory == Memory(start=0x21_C000, size=0x4000)
    # Behind the last weight word that a network gets, to the end of the SPRAMs.
    window = REGISTER_MAP.window("WEIGHTS")
    assert memory.start == window.base + 8 * 14336
    assert memory.start + memory.size == window.base + 8 * 16384 <= window.base + window.size


def test_words_of_more_lanes():
    capability = Capability(family="generic", lanes=32, weight_words=1000, processor_words=1024)
    memory = processor_memory(capability)
    assert memory == Memory(start=REGISTER_MAP.window("WEIGHTS").base + 16 * 1000, size=16 * 1024)


@pytest.mark.parametrize("words", [0, 2047])
def test_too_small(words):
    capability = Capability(weight_words=14336, processor_words=words)
    text = f"The processor's memory must have at least 16384 bytes, not {8 * words}"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        processor_memory(capability)


def test_copies():
    first, second = FIRMWARE_COPIES
    assert second - first == COPY_DISTANCE
    # One address bit, inverted, leads from each to the other, in all its length.
    for offset in (0, FIRMWARE_BYTES, COPY_DISTANCE - 4):
        assert first + offset ^ COPY_DISTANCE == second + offset
    assert first % COPY_DISTANCE == 0


@pytest.mark.parametrize("size", [0, 4, 5000, FIRMWARE_BYTES - 4])
def test_a_copy_is_filled_and_sealed(size):
    code = bytes(range(1, 251)) * 33
    copy = firmware_copy(code[:size])
    assert len(copy) == FIRMWARE_BYTES == 8192
    assert copy[:-4] == code[:size] + b"\xff" * (8188 - size)
    assert zlib.crc32(copy) == CRC_RESIDUE


def test_code_that_is_too_long_for_a_copy():
    with pytest.raises(ValueError, match=r"^The firmware must have at most 8188 bytes, not 8189$"):
        firmware_copy(bytes(8189))


def test_the_flash_is_on_the_bus_and_over_nothing_else():
    assert FLASH_BASE % FLASH_SIZE == 0
    assert FLASH_BASE + FLASH_SIZE <= 4 << ADDRESS_WIDTH
    assert max(one.base + one.size for one in REGISTER_MAP.windows) <= FLASH_BASE

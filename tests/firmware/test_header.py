"""The C header says what the Python modules say, and the linker script what the memory is."""

import re
from dataclasses import replace

import pytest

from firmware import layout, protocol
from firmware.frames import INFO_FIELDS
from firmware.header import STACK_BYTES, c_header, firmware_script, main
from hw.boards import BOARDS
from hw.bus.export import constants
from hw.register_map import REGISTER_MAP
from hw.soc.addresses import FLASH_BASE, processor_memory
from hw.soc.stream import CRC_RESIDUE
from model.common.errors import UserError

CAPABILITY = BOARDS["icebreaker"].capability


def _defines(text):
    found = re.findall(r"^#define (\w+) (0x[0-9a-f]+|[0-9]+)u$", text, re.M)
    assert len(found) == len(dict(found)), "a name is defined twice"
    return {name: int(value, 0) for name, value in found}


def test_every_constant_is_that_of_its_module():
    defines = _defines(c_header(CAPABILITY))
    memory = processor_memory(CAPABILITY)
    for name, value in {
        **constants(REGISTER_MAP),
        **{f"WORD_{name.upper()}": i for i, name in enumerate(layout.DIRECTORY_WORDS)},
        **{f"ENTRY_{name.upper()}": i for i, name in enumerate(layout.ENTRY_WORDS)},
        **{f"INFO_{name.upper()}": i for i, name in enumerate(INFO_FIELDS)},
        **{f"SECTION_{one.name}": one for one in layout.Section},
        **{f"HEAD_{one.name}": one for one in layout.Head},
        **{f"COMMAND_{one.name}": one for one in protocol.Command},
        **{f"STATUS_{one.name}": one for one in protocol.Status},
        **{f"ERROR_{one.name}": one for one in protocol.BootError},
        **{f"COUNTER_{one.name}": one for one in protocol.Counter},
        "MEMORY_START": memory.start,
        "MEMORY_SIZE": memory.size,
        "FLASH_BASE": FLASH_BASE,
        "CRC_RESIDUE": CRC_RESIDUE,
        "DIRECTORY": layout.DIRECTORY,
        "LEARNED_SLOT_0": layout.LEARNED_SLOTS[0],
        "LEARNED_SLOT_1": layout.LEARNED_SLOTS[1],
        "LEARNED_BYTES": layout.LEARNED_BYTES,
        "MAX_LEARNED": protocol.MAX_LEARNED,
        "BIAS_BITS": CAPABILITY.bias_bits,
        "ACCUMULATOR_BITS": CAPABILITY.accumulator_bits,
        "CAPABILITY_WORDS": 10,
        "BUS_BYTES": 1 << 25,
    }.items():
        assert defines[name] == value, name


def test_names_of_boot_errors_are_in_their_order():
    (line,) = re.findall(r"^#define ERROR_NAMES (.*)$", c_header(CAPABILITY), re.M)
    names = [one.strip('"').replace(" ", "_").upper() for one in line.split(", ")]
    assert [protocol.BootError[name] for name in names] == list(range(len(protocol.BootError)))


def test_it_follows_the_capability():
    other = replace(CAPABILITY, bias_bits=18, weight_words=12288, processor_words=4096)
    defines = _defines(c_header(other))
    assert defines["BIAS_BITS"] == 18
    assert defines["MEMORY_START"] == 0x20_0000 + 12288 * 8
    assert defines["MEMORY_SIZE"] == 32768


def test_linker_script_has_the_memory():
    text = firmware_script(CAPABILITY)
    assert "ORIGIN = 0x21c000, LENGTH = 0x4000" in text
    assert f"learned_end = memory_end - {STACK_BYTES};" in text


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"lanes": 8}, "The firmware is written for engines of 16 lanes, not 8"),
        (
            {"bias_bits": 33, "multiplier_bits": 8, "factor_bits": 7},
            "The firmware is written for biases of at most 32 and multipliers of at most 31 bits, "
            "not 33 and 8",
        ),
        (
            {"bias_bits": 8, "multiplier_bits": 32, "factor_bits": 8, "requantise_bits": 25},
            "The firmware is written for biases of at most 32 and multipliers of at most 31 bits, "
            "not 8 and 32",
        ),
        (
            {"processor_words": 0},
            "The firmware cannot be built: The processor's memory must have at least 16384 bytes, "
            "not 0",
        ),
    ],
)
def test_capabilities_that_it_is_not_written_for(changes, message):
    for make in (c_header,):
        with pytest.raises(UserError) as error:
            make(replace(CAPABILITY, **changes))
        assert str(error.value) == message


def test_program(tmp_path, capsys):
    main(["--output", str(tmp_path / "constants.h")])
    assert (tmp_path / "constants.h").read_text() == c_header(CAPABILITY)
    main([])
    assert capsys.readouterr().out == c_header(CAPABILITY)
    with pytest.raises(UserError, match="Unknown board 'icebraker': did you mean icebreaker"):
        main(["--board", "icebraker"])
    with pytest.raises(UserError, match="The header .* does not exist"):
        main(["--output", str(tmp_path / "none" / "file")])

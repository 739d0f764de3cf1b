"""Each family is one object, and the capability knows the names of all."""

import dataclasses

import pytest

from hw.boards import BOARDS
from hw.capability import Capability
from hw.families import FAMILIES, find_family
from hw.flow.tools import TOOLS, Toolchain
from hw.weight_blocks import WEIGHT_BLOCKS
from model.common.optional import installed


def test_names_are_those_of_the_capability():
    assert set(FAMILIES) == set(WEIGHT_BLOCKS)
    assert all(find_family(name).name == name for name in FAMILIES)


@pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
def test_a_board_is_one_of_its_family(board):
    family = find_family(board.family)
    assert board.capability.family == family.name
    assert set(board.budget) == set(family.resources)
    assert board.device in family.flow.devices
    used = family.count_blocks(board.capability)
    assert used and all(used[name] <= board.budget[name] for name in used)
    tools = Toolchain()
    for name in family.flow.tools:
        if installed(TOOLS[name].wheel.replace("-", "_")):
            assert tools.find(name)
        else:
            assert TOOLS[name].extra


def test_blocks_of_the_default_engine():
    """Counted by hand. Records 2 × 1,024 × 24 bits: 2 × 6; parameters 512 × 48: 6; table 512 × 16:
    2; the drain's sums 16 × 21: 2; image 512 × 32 and 256 × 32: 4 + 2."""
    board = BOARDS["icebreaker"]
    count = find_family("ice40").count_blocks
    assert count(board.capability) == {"dsp": 8, "ebr": 12 + 6 + 2 + 2 + 6, "spram": 4}
    wide = dataclasses.replace(board.capability, lanes=32)
    assert count(wide)["dsp"] == 16 and count(wide)["spram"] == 8


def test_blocks_of_an_ecp5():
    """Counted by hand, blocks of 1,024 x 18. Weights 10,240 x 64: 10 x 4, 8,192 x 128: 8 x 8;
    records 2 x 2,048 x 24: 2 x 3, 2 x 1,024 x 24: 2 x 2; parameters 512 x 32 and 512 x 16: 1 + 1;
    table: 1; image: 1 + 1."""
    count = find_family("ecp5").count_blocks
    small, large = (BOARDS[f"ulx3s_{size}"].capability for size in ("25f", "85f"))
    assert count(small) == {"dsp": 16 + 2, "ebr": 40 + 6 + 2 + 1 + 2}
    assert count(large) == {"dsp": 32 + 2, "ebr": 64 + 4 + 2 + 1 + 2}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_a_clock_that_is_the_boards_own_needs_nothing(family):
    assert family.clock(input_hz=5_000_000, output_hz=5_000_000) is None


def test_clocks():
    settings = find_family("ice40").clock(input_hz=12_000_000, output_hz=36_000_000)
    assert settings is not None and settings.output_hz == 36e6
    with pytest.raises(ValueError, match=r"^Clock of 5 MHz is not reachable from 12 MHz; the near"):
        find_family("ice40").clock(input_hz=12_000_000, output_hz=5_000_000)
    text = "^Family generic makes no clock of 36 MHz from 12 MHz: it has no PLL$"
    with pytest.raises(ValueError, match=text):
        find_family("generic").clock(input_hz=12_000_000, output_hz=36_000_000)


def test_a_family_for_simulation_alone():
    with pytest.raises(ValueError, match="Family generic is for simulation alone"):
        _ = find_family("generic").flow
    assert find_family("generic").count_blocks(Capability(family="generic")) == {}

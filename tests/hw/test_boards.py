"""`hw.boards`: the registry, unknown names, clocks."""

import pytest

from hw.boards import BOARDS, find_board
from model.errors import UserError


def test_icebreaker_is_the_up5k():
    board = find_board("icebreaker")
    assert board.budget == {"lc": 5280, "dsp": 8, "ebr": 30, "spram": 4}
    assert board.platform().device == board.device
    assert board.platform().package == board.package
    assert board.platform().default_clk == board.clock_resource
    assert board.platform().default_clk_frequency == board.input_clock_mhz * 1e6


@pytest.mark.parametrize("name", BOARDS)
def test_default_clock_can_be_made(name):
    board = BOARDS[name]
    assert board.clock_hz(board.default_clock_mhz) == round(board.default_clock_mhz * 1e6)


def test_unknown_board_lists_the_known_ones_and_the_nearest():
    with pytest.raises(UserError) as caught:
        find_board("icebraker")
    assert str(caught.value).startswith("Unknown board 'icebraker': did you mean icebreaker?")
    assert all(name in str(caught.value) for name in BOARDS)


def test_the_boards_own_clock_needs_no_pll():
    assert find_board("icebreaker").clock_hz(12) == 12_000_000


@pytest.mark.parametrize("clock", [0, -3, float("nan"), float("inf")])
def test_clock_that_is_no_clock(clock):
    with pytest.raises(UserError, match="Clock must be a positive number of MHz, not"):
        find_board("icebreaker").clock_hz(clock)


@pytest.mark.parametrize("clock", [1, 400, 36.1])
def test_clock_that_the_pll_cannot_make(clock):
    with pytest.raises(UserError, match=r"not reachable.*the nearest is [\d.]+ MHz"):
        find_board("icebreaker").clock_hz(clock)


def test_clock_below():
    board = find_board("icebreaker")
    assert board.clock_below(36.9) == 36
    assert board.clock_below(12.5) == 12
    assert board.clock_below(5) is None

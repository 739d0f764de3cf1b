"""`hw.boards`: the registry, unknown names, clocks."""

import pytest

from hw.boards import BOARDS, find_board
from hw.flow.steps import design_sha256
from hw.register_map import REGISTER_MAP
from hw.soc.addresses import FIRMWARE_BYTES, processor_memory
from model.common.errors import UserError


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


@pytest.mark.parametrize(
    "mhz, baud", [(36, 6_000_000), (48, 12_000_000), (30, 6_000_000), (12, 3_000_000)]
)
def test_fastest_baud_rate(mhz, baud):
    """At most a quarter of the clock, within 2 %, of what the USB chip makes exactly."""
    board = find_board("icebreaker")
    assert board.baud(mhz * 1_000_000) == baud
    assert list(board.bauds) == sorted(board.bauds, reverse=True)
    # An FT2232H divides 12 MHz by 1, 1.5, or n + k / 8 with n from 2 (FTDI AN_120).
    for one in board.bauds:
        eighths = 8 * 12_000_000 / one
        assert eighths in (8, 12) or (eighths >= 16 and eighths == int(eighths))


def test_a_baud_rate_that_is_asked_for():
    board = find_board("icebreaker")
    assert board.bauds_at(36_000_000) == (
        6_000_000, 4_000_000, 3_000_000, 2_000_000, 1_000_000
    )  # fmt: skip
    assert board.baud(36_000_000, 1_000_000) == 1_000_000
    # The divisor is the clock's cycles in a bit.
    for baud, divisor in ((None, 6), (2_000_000, 18)):
        top = board.make_top(board.capability, 36, baud)
        assert top.soc._divisor == divisor
        assert design_sha256(board, top)  # it can be made


@pytest.mark.parametrize("clock, known", [
    (36, "6000000, 4000000, 3000000, 2000000, 1000000"), (12, "3000000, 2000000, 1000000"),
])  # fmt: skip
@pytest.mark.parametrize("baud", [0, -1, 115_200, 12_000_000, 5_000_000])
def test_a_baud_rate_that_clock_or_usb_chip_do_not_make(baud, clock, known):
    with pytest.raises(UserError) as caught:
        find_board("icebreaker").baud(clock * 1_000_000, baud)
    assert str(caught.value) == (
        f"1BitSquared iCEBreaker has no baud rate {baud} at {clock} MHz; known: {known}"
    )


def test_no_baud_rate():
    with pytest.raises(UserError) as caught:
        find_board("icebreaker").baud(3_000_000)
    assert str(caught.value) == (
        "Clock of 3 MHz makes no baud rate of 1BitSquared iCEBreaker's serial port"
    )


@pytest.mark.parametrize("name", BOARDS)
def test_leds_and_buttons_are_there(name):
    """Each is a resource of the platform, used once, and they fit their registers."""
    board = BOARDS[name]
    platform = board.platform()
    for resources, register in ((board.leds, "LEDS"), (board.buttons, "BUTTONS")):
        assert len(set(resources)) == len(resources)
        assert len(resources) <= REGISTER_MAP.register(register).fields[0].width
        for one in resources:
            assert platform.lookup(*one) is not None
    assert board.leds[:2] == (("led_g", 0), ("led_r", 0)), "green is bit 0, red bit 1"


@pytest.mark.parametrize("name", BOARDS)
def test_capability_has_room_for_the_processor(name):
    assert processor_memory(BOARDS[name].capability).size >= 2 * FIRMWARE_BYTES

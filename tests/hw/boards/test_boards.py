"""`hw.boards`: the registry, unknown names, clocks."""

import re

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


UP5K = [name for name in BOARDS if BOARDS[name].family == "ice40"]

COLOURS = {
    "icesugar": ("led_g", "led_r", "led_b"),
    "upduino_v3": ("g", "r", "b"),
    "ice40_up5k_b_evn": ("led_g", "led_r", "led_b"),
    "fomu_pvt": ("g", "r", "b"),
}
"""Colours of the first LEDs, as the platforms name them: resources, or pins of `rgb_led`."""


def pins_of(platform, name, number=0, part=None):
    """The pins of a resource of a platform, or of one of its parts."""
    ios = platform.lookup(name, number).ios
    if part is not None:
        ios = next(one for one in ios if getattr(one, "name", None) == part).ios
    return ios[0].names


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
    pads = [one for one in board.leds if one[0] == "rgb_pad"]
    assert board.family == "ecp5" or pads or board.leds[:2] == (("led_g", 0), ("led_r", 0)), (
        "green is bit 0, red bit 1"
    )


@pytest.mark.parametrize("name", COLOURS)
def test_pads_have_the_colours_of_the_platform(name):
    platform = BOARDS[name].platform()
    for (pad, number), colour in zip(BOARDS[name].leds, COLOURS[name], strict=True):
        where = ("rgb_led", 0, colour) if len(colour) == 1 else (colour,)
        assert pins_of(platform, pad, number) == pins_of(platform, *where)


@pytest.mark.parametrize("name", [name for name in UP5K if BOARDS[name].pll != "none"])
def test_the_clock_is_the_platforms(name):
    board = BOARDS[name]
    platform = board.platform()
    assert (platform.device, platform.package) == (board.device, board.package)
    assert platform.default_clk == board.clock_resource
    assert platform.default_clk_frequency == board.input_clock_mhz * 1e6
    # The pin of the PLL (Lattice FPGA-DS-02008): a clock elsewhere must be routed.
    at_pll = pins_of(platform, board.clock_resource) == [{"SG48": "35"}.get(board.package, "B3")]
    assert at_pll == (board.pll == "pad")


@pytest.mark.parametrize("name", ["upduino_v2", "upduino_v3"])
def test_an_internal_oscillator_has_one_frequency(name):
    board = BOARDS[name]
    assert board.platform().default_clk == "SB_HFOSC"
    assert board.platform().default_clk_frequency == board.input_clock_mhz * 1e6
    with pytest.raises(UserError, match="has one clock, 24 MHz, not 36 MHz"):
        board.clock_hz(36)
    # 48 MHz within 10 % (Lattice FPGA-DS-02008): a design at 26 MHz is none for it.
    assert board.clock_below(26.5) == 24 and board.clock_below(26.3) is None


@pytest.mark.parametrize("name", UP5K)
def test_a_serial_line_where_the_board_has_one(name):
    board = BOARDS[name]
    names = {resource for resource, _ in board.platform().resources}
    assert ("uart" in names) == (board.uart is not None)
    assert board.baud(board.clock_hz(board.default_clock_mhz))


@pytest.mark.parametrize("name", UP5K)
def test_the_design_has_the_boards_pins(name):
    """Every pin is constrained once; without a serial line the design has none."""
    board = BOARDS[name]
    top = board.make_top(board.capability, board.default_clock_mhz)
    constraints = str(board.platform().prepare(top, "top", emit_src=False).files["top.pcf"])
    places = re.findall(r"set_io (\S+) (\w+)", constraints)
    assert len(set(dict(places).values())) == len(places)
    assert any(pin.startswith("uart") for pin, _ in places) == (board.uart is not None)
    assert sum("spi_flash" in pin for pin, _ in places) in (4, 6)


@pytest.mark.parametrize("name", BOARDS)
def test_how_the_flash_is_written(name):
    """By openFPGALoader's words, or by hand; a board is never without either."""
    board = BOARDS[name]
    assert (board.usb is None) == bool(board.by_hand)
    if board.usb is None:
        with pytest.raises(UserError) as caught:
            board.usb_chip()
        assert board.by_hand in str(caught.value) and "--image-only" in str(caught.value)


@pytest.mark.parametrize("name", BOARDS)
def test_capability_has_room_for_the_processor(name):
    assert processor_memory(BOARDS[name].capability).size >= 2 * FIRMWARE_BYTES

"""Boards with an ECP5: pins by the boards' own documents, what has no UART, what does not fit."""

import pytest

from hw.boards import BOARDS, find_board
from hw.flow.capability import board_capability
from hw.flow.job import prepare
from hw.flow.steps import Workspace, elaborate
from model.common.errors import UserError

NAMES = [name for name, board in BOARDS.items() if board.family == "ecp5"]

# Typed from the documents that the data files name; the flash's from the packages' pin-out tables:
# clock, UART out and in, select, MOSI, MISO of the flash, first LEDs.
PINS = {
    "ulx3s": ("G2", "L4", "M1", "R2", "W2", "V2", "B2 C2 C1 D2"),
    "icepi_zero": ("M1", "K15", "K16", "N8", "T8", "T7", "E13 D14 E12 C13 D13"),
    "colorlight_5a75b_r7_0": ("P6", "P11", "M13", "N8", "T8", "T7", ""),
    "icesugar_pro": ("P6", "B9", "A9", "N8", "T8", "T7", "A11 B11 A12"),
    "orangecrab_r0_2": ("A9", None, None, "U17", "U18", "T18", "M3 K4 J3"),
    "ecpix5": ("K23", "R24", "R26", "AA2", "AE2", "AD2", "R21 T23 W21 K24 R23"),
    "versa_ecp5": ("P3", "A11", "C11", "R2", "W2", "V2", "E16 D17 D18"),
    "butterstick": ("B12", None, None, "R2", "W2", "V2", "C13 D12 U2"),
    "logicbone": ("M19", None, None, "R2", "W2", "V2", "D16 C15 C13 B13"),
}


def pins(board, resource, number, *names):
    found = board.platform().lookup(resource, number).ios
    if not names:
        return [found[0].p.names[0] if hasattr(found[0], "p") else found[0].names[0]]
    return [next(one for one in found if one.name == name).ios[0].names[0] for name in names]


@pytest.mark.parametrize("name", NAMES)
def test_pins(name):
    board = find_board(name)
    clock, tx, rx, select, copi, cipo, leds = next(
        pins for start, pins in PINS.items() if name.startswith(start)
    )
    assert pins(board, board.clock_resource, 0) == [clock]
    if tx is None:
        assert board.uart is None
    else:
        assert pins(board, "uart", 0, "tx", "rx") == [tx, rx]
    assert pins(board, *board.flash, "cs", "copi", "cipo") == [select, copi, cipo]
    shown = [pins(board, *one)[0] for one in board.leds]
    assert shown[: len(leds.split())] == leds.split()
    assert bool(shown) == bool(leds)


@pytest.mark.parametrize("name", NAMES)
def test_device_and_clock(name):
    board = find_board(name)
    platform = board.platform()
    assert (platform.device, platform.package) == (board.device, board.package)
    assert platform.speed == board.speed
    assert platform.default_clk == board.clock_resource
    assert platform.default_clk_frequency == board.input_clock_mhz * 1e6
    assert board.name.endswith(board.device[-3:].lower()) or board.name in (
        "icepi_zero", "colorlight_5a75b_r7_0", "icesugar_pro", "versa_ecp5", "butterstick",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["ulx3s_25f", "colorlight_5a75b_r7_0", "versa_ecp5", "butterstick"]
)
def test_pins_of_the_design(name, tmp_path):
    """No pin twice; the flash's clock is no pin; a UART where there is one."""
    board = find_board(name)
    top = board.make_top(board.capability, board.default_clock_mhz)
    elaborate(board, top, Workspace(directory=tmp_path))
    lines = (tmp_path / "top.lpf").read_text().splitlines()
    places = [line.split('"')[1:4:2] for line in lines if line.startswith("LOCATE")]
    assert len({pin for _, pin in places}) == len(places)
    used = {part for port, _ in places for part in port.split("__")}
    assert {"cs", "copi", "cipo"} <= used and "clk" not in used
    assert ({"rx", "tx"} <= used) == (board.uart is not None)
    assert "USRMCLK" in (tmp_path / "top.il").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_default_network_fits(name):
    board = find_board(name)
    job = prepare(board, None, None, None, 1)
    assert job.network.name == (board.network or "dham8-up5k")


def test_what_does_not_fit():
    """Resource, need, budget, and what fits: a setting, or a network of the zoo."""
    board = find_board("ulx3s_25f")
    with pytest.raises(UserError) as caught:
        prepare(board, "dham8-up5k", None, None, 1)
    assert str(caught.value) == (
        "Weight memory: the network needs 13723 words of P slices, the budget is 8192. What would "
        "fit: fewer channels, a smaller kernel or narrower weights; resnet8-l2 of the zoo fits "
        "Radiona ULX3S 25F"
    )
    with pytest.raises(UserError) as caught:
        board_capability(board, 32)
    assert str(caught.value) == "32 lanes need 34 DSPs, Radiona ULX3S 25F has 28; 16 lanes fit"

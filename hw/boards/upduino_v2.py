"""The Gnarly Grey UPduino v2.0: an iCE40UP5K on its internal oscillator, behind an FT232H."""

from hw.boards.board import UsbChip
from hw.boards.up5k import adapter_uart, rgb_pads, up5k_board

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.upduino_v2 import UpduinoV2Platform

    platform = UpduinoV2Platform()
    platform.hfosc_div = 1
    platform.add_resources([*rgb_pads("39 40 41"), adapter_uart(rx="47", tx="45")])
    return platform


BOARD = up5k_board(
    name="upduino_v2",
    title="Gnarly Grey UPduino v2.0",
    input_clock_mhz=24.0,
    clock_resource="SB_HFOSC",
    clock_tolerance=0.1,
    default_clock_mhz=24.0,
    pll="none",
    platform=_platform,
    bauds=(1_000_000, 500_000, 115_200),
    uart="a 3.3 V adapter at pins 47 (to the board) and 45 (from the board)",
    usb=UsbChip(
        vendor=0x0403, product=0x6014, name="upduino", uart=None,
        loader=("-b", "ice40_generic", "-c", "ft232"),
    ),
    # As its schematic has them; its makers' examples disagree about the colours.
    leds=(("rgb_pad", 1), ("rgb_pad", 2), ("rgb_pad", 0)),
    buttons=(),
)  # fmt: skip

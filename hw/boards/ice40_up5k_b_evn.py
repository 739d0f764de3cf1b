"""Lattice's iCE40 UltraPlus breakout board: an iCE40UP5K behind an FT2232H, with no serial line."""

from hw.boards.board import UsbChip
from hw.boards.up5k import adapter_uart, rgb_pads, up5k_board

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.ice40_up5k_b_evn import ICE40UP5KBEVNPlatform

    platform = ICE40UP5KBEVNPlatform()
    platform.add_resources([*rgb_pads("39 40 41"), adapter_uart(rx="4", tx="12")])
    return platform


BOARD = up5k_board(
    name="ice40_up5k_b_evn",
    title="Lattice iCE40UP5K-B-EVN",
    input_clock_mhz=12.0,
    clock_resource="clk12",  # with jumper J51, as delivered
    platform=_platform,
    bauds=(1_000_000, 500_000, 115_200),
    uart="a 3.3 V adapter at header C, 22A (from the board) and 8A (to the board)",
    usb=UsbChip(
        vendor=0x0403, product=0x6010, name="lattice", uart=None, loader=("-b", "ice40_generic")
    ),
    leds=(("rgb_pad", 1), ("rgb_pad", 2), ("rgb_pad", 0)),
    buttons=(),
)

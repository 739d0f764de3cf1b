"""The 1BitSquared iCEBreaker: an iCE40UP5K behind an FT2232H."""

from hw.boards.board import UsbChip
from hw.boards.up5k import up5k_board
from hw.boards.usb_chips import FT2232H_BAUDS

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    platform = ICEBreakerPlatform()
    # The part of the board with five more LEDs and three buttons, which can be broken off.
    platform.add_resources(platform.break_off_pmod)
    return platform


BOARD = up5k_board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    input_clock_mhz=12.0,
    clock_resource="clk12",
    platform=_platform,
    bauds=FT2232H_BAUDS,
    usb=UsbChip(  # an FT2232H: its first interface is the flash's SPI
        vendor=0x0403, product=0x6010, name="icebreaker", uart=1, loader=("-b", "ice40_generic"),
        documented=True,
    ),
    leds=(("led_g", 0), ("led_r", 0), *(("led", number) for number in range(2, 7))),
    buttons=(("button", 0), *(("button", number) for number in range(1, 4))),
)  # fmt: skip

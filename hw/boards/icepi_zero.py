"""The Icepi Zero, version 1.3: an ECP5 behind an FT231X.

Pins of UART, LEDs, buttons and flash compared with `firmware/v1.3/icepi-zero-v1_3.lpf` of
github.com/cheyao/icepi-zero (as its forks keep it). The clock is at M1 from version 1.3 on
(`hardware/changes.md`, "Swapped pins M1 and M2"); M1 is the clock pin of the pair. Earlier versions
have the clock at M2: this bitstream does not run there.
"""

from hw.boards.board import UsbChip
from hw.boards.ecp5 import add_flash, ecp5_board
from hw.boards.usb_chips import FT231X_BAUDS

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.icepi_zero import IcepiZero1_3Platform

    return add_flash(IcepiZero1_3Platform())


BOARD = ecp5_board(
    name="icepi_zero",
    title="Icepi Zero",
    device="LFE5U-25F",
    package="BG256",
    speed="6",
    input_clock_mhz=50.0,
    clock_resource="clk50",
    platform=_platform,
    bauds=FT231X_BAUDS,
    usb=UsbChip(
        vendor=0x0403,
        product=0x6015,
        name="icepi",
        uart=0,
        loader=("-b", "icepi-zero"),
        documented=True,
    ),
    leds=tuple(("led", number) for number in range(5)),
    buttons=tuple(("button", number) for number in range(2)),
)

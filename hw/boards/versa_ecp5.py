"""Lattice's ECP5 Versa: an ECP5 behind an FT2232H.

Pins of clock, UART and LEDs compared with `lattice_versa_ecp5.py` of LiteX-Boards. amaranth-boards
has the flash's data pins exchanged (W2 is MOSI): those of the package are used. A clock chip shares
the JTAG chain, and openFPGALoader knows no such board: nothing of its is offered.
"""

from hw.boards.ecp5 import add_flash, ecp5_board
from hw.boards.usb_chips import FT2232H_BAUDS

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.versa_ecp5 import VersaECP5Platform

    return add_flash(VersaECP5Platform())


BOARD = ecp5_board(
    name="versa_ecp5",
    title="Lattice ECP5 Versa",
    device="LFE5UM-45F",
    package="BG381",
    speed="8",
    input_clock_mhz=100.0,
    clock_resource="clk100",
    platform=_platform,
    bauds=FT2232H_BAUDS,
    usb=None,
    leds=tuple(("led", number) for number in range(7)),
    buttons=tuple(("switch", number) for number in range(4)),
    by_hand="use Lattice's programmer, or OpenOCD with the board's configuration",
)

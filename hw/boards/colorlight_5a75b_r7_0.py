"""The Colorlight 5A-75B, revision 7.0: a driver of LED panels with an ECP5, without USB.

The UART is on the pins of the board's LED (out of the FPGA) and button (into it), which therefore
are neither; it needs an adapter of the user's. Programming needs a JTAG cable at J27 to J34.

Pins of clock, LED and button compared with `5a-75b/hardware_V7.0.md` of github.com/q3k/chubby75,
which names the flash's type, not its pins. amaranth-boards has the flash's data pins exchanged
(T8 is MOSI): those of the package are used.
"""

from hw.boards.ecp5 import add_flash, ecp5_board

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.colorlight_5a75b_r7_0 import Colorlight_5A75B_R70Platform

    return add_flash(Colorlight_5A75B_R70Platform(), quad=False)


BOARD = ecp5_board(
    name="colorlight_5a75b_r7_0",
    title="Colorlight 5A-75B R7.0",
    device="LFE5U-25F",
    package="BG256",
    speed="6",
    input_clock_mhz=25.0,
    clock_resource="clk25",
    platform=_platform,
    bauds=(1_000_000,),
    usb=None,
    leds=(),
    buttons=(),
    uart="button (in) and LED (out)",
    by_hand="use a JTAG cable at J27 to J34",
)

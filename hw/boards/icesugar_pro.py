"""MuseLab's iCESugar-pro: an ECP5 behind the debugger iCELink, whose serial port is slow.

Pins of clock and UART compared with `src/uart_tx/top.lpf`, those of the LED with the pins that the
demos `demo/blink_red.svf`, `blink_green.bit` and `blink_blue.svf` drive, all of
github.com/wuxx/icesugar-pro: red is B11, green A11, blue A12. amaranth-boards has the colours
rotated. The LED is low when active (LiteX-Boards, `muselab_icesugar_pro.py`).
"""

from hw.boards.ecp5 import add_flash, ecp5_board

__all__ = ["BOARD"]


def _platform():
    from amaranth.build import Attrs, PinsN, Resource
    from amaranth_boards.icesugar_pro import ICESugarProPlatform

    platform = ICESugarProPlatform()
    platform.add_resources(
        Resource(name, 0, PinsN(pin, dir="o"), Attrs(IO_TYPE="LVCMOS33"))
        for name, pin in (("led_g", "A11"), ("led_r", "B11"), ("led_b", "A12"))
    )
    return add_flash(platform)


BOARD = ecp5_board(
    name="icesugar_pro",
    title="MuseLab iCESugar-pro",
    device="LFE5U-25F",
    package="BG256",
    speed="6",
    input_clock_mhz=25.0,
    clock_resource="clk25",
    platform=_platform,
    bauds=(115_200,),
    usb=None,
    leds=(("led_g", 0), ("led_r", 0), ("led_b", 0)),
    buttons=(),
    by_hand="run `icesprog FILE`, or copy the file to the drive iCELink",
)

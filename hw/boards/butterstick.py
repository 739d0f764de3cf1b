"""The ButterStick r1.0: an ECP5-5G whose USB is the FPGA's own: no UART.

Nobody can talk to the device: it is for networks that run alone, with pictures in its flash.

Pins of clock, LEDs, buttons and flash compared with `gsd_butterstick.py` of LiteX-Boards, by the
board's maker; those of clock, LEDs and buttons with `blink/ButterStick_r1.0.pcf`, too, of
github.com/butterstick-fpga/verilog-examples.
"""

from hw.boards.ecp5 import add_flash, ecp5_board

__all__ = ["BOARD"]


def _platform():
    from amaranth.build import Attrs, Pins, Resource
    from amaranth_boards.butterstick import ButterStickPlatform

    platform = ButterStickPlatform()
    # Seven LEDs of three colours each: all share the three pins of their colours.
    platform.add_resources([
        *(
            Resource("led", number, Pins(pin, dir="o"), Attrs(IO_TYPE="LVCMOS33"))
            for number, pin in enumerate("C13 D12 U2 T3 D13 E13 C16".split())
        ),
        Resource("led_colour_blue", 0, Pins("R1", dir="o"), Attrs(IO_TYPE="LVCMOS33")),
    ])  # fmt: skip
    return add_flash(platform)


BOARD = ecp5_board(
    name="butterstick",
    title="ButterStick r1.0",
    device="LFE5UM5G-85F",
    package="BG381",
    speed="8",
    input_clock_mhz=30.0,
    clock_resource="clk30",
    platform=_platform,
    bauds=(1_000_000,),
    usb=None,
    leds=tuple(("led", number) for number in range(7)),
    buttons=tuple(("button", number) for number in range(2)),
    uart=None,
    by_hand="use a JTAG cable: its USB is the bootloader's, which writes bitstreams alone",
    high=(("led_colour_blue", 0),),
)

"""The OrangeCrab, revision 0.2: an ECP5 of two sizes whose USB is the FPGA's own: no UART.

Nobody can talk to the device: it is for networks that run alone, with pictures in its flash.

Pins of clock, LED, button and flash compared with `verilog/orangecrab_r0.2.1.pcf` of
github.com/orangecrab-fpga/orangecrab-examples.
"""

from hw.boards.board import Board
from hw.boards.ecp5 import add_flash, ecp5_board

__all__ = ["BOARDS"]


def _board(size: str) -> Board:
    def platform():
        from amaranth.build import Attrs, PinsN, Resource
        from amaranth_boards import orangecrab_r0_2

        made = getattr(orangecrab_r0_2, f"OrangeCrabR0_2_{size}Platform")()
        made.add_resources(
            Resource(name, 0, PinsN(pin, dir="o"), Attrs(IO_TYPE="LVCMOS33"))
            for name, pin in (("led_g", "M3"), ("led_r", "K4"), ("led_b", "J3"))
        )
        return add_flash(made)

    return ecp5_board(
        name=f"orangecrab_r0_2_{size.lower()}",
        title=f"OrangeCrab r0.2 {size}",
        device=f"LFE5U-{size}",
        package="MG285",
        speed="8",
        input_clock_mhz=48.0,
        clock_resource="clk",
        platform=platform,
        bauds=(1_000_000,),
        usb=None,
        leds=(("led_g", 0), ("led_r", 0), ("led_b", 0)),
        buttons=(("button", 0),),
        uart=None,
        by_hand="use a JTAG cable: its USB is the bootloader's, which writes bitstreams alone",
    )


BOARDS = tuple(_board(size) for size in ("25F", "85F"))

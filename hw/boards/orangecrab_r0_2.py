"""The OrangeCrab, revision 0.2: an ECP5 of two sizes whose USB is the FPGA's own: no UART.

Nobody can talk to the device: it is for networks that run alone, with pictures in its flash.

Pins of clock, LED, button and flash compared with `verilog/orangecrab_r0.2.1.pcf` of
github.com/orangecrab-fpga/orangecrab-examples.
"""

from hw.boards.board import Board
from hw.boards.ecp5 import CAPABILITIES, FLASH, NETWORKS, add_flash
from hw.families.ecp5 import BUDGETS

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

    return Board(
        name=f"orangecrab_r0_2_{size.lower()}",
        title=f"OrangeCrab r0.2 {size}",
        family="ecp5",
        device=f"LFE5U-{size}",
        package="MG285",
        speed="8",
        budget=BUDGETS[size],
        input_clock_mhz=48.0,
        clock_resource="clk",
        default_clock_mhz=60.0,
        platform=platform,
        capability=CAPABILITIES[size],
        bauds=(1_000_000,),
        usb=None,
        leds=(("led_g", 0), ("led_r", 0), ("led_b", 0)),
        buttons=(("button", 0),),
        flash=(FLASH, 0),
        uart=None,
        by_hand="use a JTAG cable: its USB is the bootloader's, which writes bitstreams alone",
        network=NETWORKS[size],
    )


BOARDS = tuple(_board(size) for size in ("25F", "85F"))

"""The Logicbone: an ECP5-5G of two sizes whose USB is the FPGA's own: no UART.

Nobody can talk to the device: it is for networks that run alone, with pictures in its flash.

Pins of clock, LEDs, button and flash compared with `verilog/logicbone-rev0.lpf` of
github.com/oskirby/logicbone-tests, by the board's maker.
"""

from hw.boards.board import Board
from hw.boards.ecp5 import add_flash, ecp5_board

__all__ = ["BOARDS"]


def _board(size: str, platform_name: str) -> Board:
    def platform():
        from amaranth_boards import logicbone

        return add_flash(getattr(logicbone, platform_name)())

    return ecp5_board(
        name=f"logicbone_{size.lower()}",
        title=f"Logicbone {size}",
        device=f"LFE5UM5G-{size}",
        package="BG381",
        speed="8",
        input_clock_mhz=25.0,
        clock_resource="refclk",
        platform=platform,
        bauds=(1_000_000,),
        usb=None,
        leds=tuple(("led", number) for number in range(4)),
        buttons=(("button", 0),),
        uart=None,
        by_hand="use a JTAG cable: its USB is the bootloader's, which writes bitstreams alone",
    )


BOARDS = (_board("45F", "LogicbonePlatform"), _board("85F", "Logicbone85FPlatform"))

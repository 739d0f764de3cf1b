"""Radiona's ULX3S: an ECP5 of four sizes behind an FT231X.

Pins of clock, UART, LEDs, buttons and flash compared with `doc/constraints/ulx3s_v20.lpf` of
github.com/emard/ulx3s.
"""

from hw.boards.board import Board, UsbChip
from hw.boards.ecp5 import CLOCKS_MHZ, add_flash, ecp5_board
from hw.boards.usb_chips import FT231X_BAUDS

__all__ = ["BOARDS"]


def _board(size: str) -> Board:
    def platform():
        from amaranth.build import Attrs, Pins, Resource
        from amaranth_boards import ulx3s

        made = getattr(ulx3s, f"ULX3S_{size}_Platform")()
        # GPIO 0 of the ESP32: low, the ESP32 may take the FPGA back.
        made.add_resources([
            Resource("wifi_gpio0", 0, Pins("L2", dir="o"), Attrs(IO_TYPE="LVCMOS33"))
        ])  # fmt: skip
        return add_flash(made)

    return ecp5_board(
        name=f"ulx3s_{size.lower()}",
        title=f"Radiona ULX3S {size}",
        device=f"LFE5U-{size}",
        package="BG381",
        speed="6",
        input_clock_mhz=25.0,
        clock_resource="clk25",
        default_clock_mhz=CLOCKS_MHZ[size],
        platform=platform,
        bauds=FT231X_BAUDS,
        usb=UsbChip(
            vendor=0x0403,
            product=0x6015,
            name="ulx3s",
            uart=0,
            loader=("-b", "ulx3s"),
            documented=True,
        ),
        leds=tuple(("led", number) for number in range(7)),
        buttons=(("button_fire", 0), ("button_fire", 1), ("button_up", 0), ("button_down", 0)),
        high=(("wifi_gpio0", 0),),
    )


BOARDS = tuple(_board(size) for size in ("12F", "25F", "45F", "85F"))

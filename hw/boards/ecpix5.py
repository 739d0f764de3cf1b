"""LambdaConcept's ECPIX-5: an ECP5-5G of two sizes behind an FT2232H.

Pins of clock, UART and LEDs compared with `ecpix5.lpf` of github.com/Baldanos/ecpix5-blinky and
with `ecpix5.py` of LiteX-Boards. amaranth-boards has the flash's data pins exchanged (AE2 is MOSI):
those of the package are used.
"""

from hw.boards.board import Board, UsbChip
from hw.boards.ecp5 import add_flash, ecp5_board
from hw.boards.usb_chips import FT2232H_BAUDS

__all__ = ["BOARDS"]


def _board(size: str) -> Board:
    def platform():
        from amaranth.build import Attrs, PinsN, Resource
        from amaranth_boards import ecpix5

        made = getattr(ecpix5, f"ECPIX5{size[:2]}Platform")()
        # Of the four coloured LEDs: green and red of the first, green of the others.
        made.add_resources(
            Resource(name, number, PinsN(pin, dir="o"), Attrs(IO_TYPE="LVCMOS33"))
            for name, number, pin in (
                ("led_g", 0, "R21"), ("led_r", 0, "T23"),
                ("led_g", 1, "W21"), ("led_g", 2, "K24"), ("led_g", 3, "R23"),
            )
        )  # fmt: skip
        return add_flash(made)

    return ecp5_board(
        name=f"ecpix5_{size.lower()}",
        title=f"LambdaConcept ECPIX-5 {size}",
        device=f"LFE5UM5G-{size}",
        package="BG554",
        speed="8",
        input_clock_mhz=100.0,
        clock_resource="clk100",
        platform=platform,
        bauds=FT2232H_BAUDS,
        usb=UsbChip(
            vendor=0x0403,
            product=0x6010,
            name="ecpix",
            uart=1,
            loader=("-b", "ecpix5"),
            documented=True,
        ),
        leds=(("led_g", 0), ("led_r", 0), ("led_g", 1), ("led_g", 2), ("led_g", 3)),
        buttons=(),
    )


BOARDS = tuple(_board(size) for size in ("45F", "85F"))

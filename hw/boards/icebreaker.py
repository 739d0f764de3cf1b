"""The 1BitSquared iCEBreaker: an iCE40UP5K behind an FT2232H."""

from hw.boards.board import Board, UsbChip
from hw.capability import Capability

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    platform = ICEBreakerPlatform()
    # The part of the board with five more LEDs and three buttons, which can be broken off.
    platform.add_resources(platform.break_off_pmod)
    return platform


BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    family="ice40",
    device="iCE40UP5K",
    package="SG48",
    budget={"lc": 5280, "dsp": 8, "ebr": 30, "spram": 4},
    input_clock_mhz=12.0,
    clock_resource="clk12",
    default_clock_mhz=36.0,
    platform=_platform,
    # 21 bits hold the widest sum of every network in the zoo.
    capability=Capability(accumulator_bits=21, weight_words=14336, processor_words=2048),
    # What an FT2232H makes of its 12 MHz without rounding (FTDI AN_120, section 3).
    bauds=(12_000_000, 8_000_000, 6_000_000, 4_000_000, 3_000_000, 2_000_000, 1_000_000),
    usb=UsbChip(  # an FT2232H: its first interface is the flash's SPI
        vendor=0x0403, product=0x6010, name="icebreaker", uart=1, loader="ice40_generic"
    ),
    leds=(("led_g", 0), ("led_r", 0), *(("led", number) for number in range(2, 7))),
    buttons=(("button", 0), *(("button", number) for number in range(1, 4))),
)

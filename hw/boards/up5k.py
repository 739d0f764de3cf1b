"""What boards with an iCE40UP5K have in common, and resources that their platforms lack."""

from typing import Any

from hw.boards.board import Board, UsbChip
from hw.capability import Capability

__all__ = ["adapter_uart", "rgb_pads", "up5k_board", "upduino"]


def up5k_board(**facts: Any) -> Board:
    """A board with this device; `facts` are the others of `Board`, and may replace these."""
    common: dict[str, Any] = {
        "family": "ice40",
        "device": "iCE40UP5K",
        "package": "SG48",
        "budget": {"lc": 5280, "dsp": 8, "ebr": 30, "spram": 4},
        "default_clock_mhz": 36.0,
        # 21 bits hold the widest sum of every network in the zoo.
        "capability": Capability(accumulator_bits=21, weight_words=14336, processor_words=2048),
    }
    return Board(**common | facts)


def upduino(**facts: Any) -> Board:
    """An UPduino: on the internal oscillator, behind an FT232H that is wired to the flash alone."""
    common: dict[str, Any] = {
        "input_clock_mhz": 24.0,
        "clock_resource": "SB_HFOSC",
        "clock_tolerance": 0.1,
        "default_clock_mhz": 24.0,
        "pll": "none",
        "bauds": (1_000_000, 500_000, 115_200),
        "usb": UsbChip(
            vendor=0x0403, product=0x6014, name="upduino", uart=None,
            loader=("-b", "ice40_generic", "-c", "ft232"),
        ),
        "buttons": (),
    }  # fmt: skip
    return up5k_board(**common | facts)


def rgb_pads(pins: str) -> list:
    """Resources `rgb_pad` 0, 1, 2: the pads RGB0 to RGB2, which the LED driver takes for itself.

    Driven as ordinary outputs these pads do not limit the LED's current.
    """
    from amaranth.build import Pins, Resource

    return [Resource("rgb_pad", at, Pins(pin, dir="o")) for at, pin in enumerate(pins.split())]


def adapter_uart(*, rx: str, tx: str) -> Any:
    """A resource `uart` on header pins, for a serial adapter: `rx` is the device's input.

    Pulled up, so that an input without an adapter is idle.
    """
    from amaranth.build import Attrs
    from amaranth_boards.resources import UARTResource

    attributes = Attrs(IO_STANDARD="SB_LVCMOS", PULLUP=1)
    return UARTResource(0, rx=rx, tx=tx, attrs=attributes)

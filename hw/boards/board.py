"""What a board is: device, budget of resources, clocks, pins, and the chip towards a PC.

A board is data; its Amaranth platform (pins, constraints) comes from `amaranth-boards` and is
imported only when somebody asks for the platform.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Elaboratable

from hw.bus.uart import divisor_for
from hw.capability import Capability
from hw.families import find_family
from model.common.errors import UserError

__all__ = ["Board", "UsbChip"]


@dataclass(frozen=True, kw_only=True)
class UsbChip:
    """The chip by which a PC reaches the board, for flashing and for the serial line.

    Parameters
    ----------
    vendor, product : int
        Its USB ids.
    name : str
        What the product string of such a board contains, in lower case. Other makers' boards have
        the same chip, with the same ids.
    uart : int
        Which of its interfaces is the serial line, counted from 0.
    loader : str
        The board in the words of openFPGALoader's ``--board``.
    """

    vendor: int
    product: int
    name: str
    uart: int
    loader: str


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board, its device and what the device has.

    Parameters
    ----------
    name : str
        What users type after ``--board``.
    title : str
        The board's name in reports.
    family, device, package : str
        FPGA family (``"ice40"``), device and package as its vendor writes them.
    budget : dict of str to int
        Resources of the device, by the keys of its family's `resources`: for iCE40 ``lc`` logic
        cells, ``dsp`` multiplier blocks, ``ebr`` block RAMs, ``spram`` large RAMs.
    input_clock_mhz : float
        Clock that the board feeds to the device.
    clock_resource : str
        The platform's name for that clock.
    default_clock_mhz : float
        Clock that the design runs at unless the user asks for another.
    platform : callable
        Makes the Amaranth platform.
    capability : Capability
        What the board is built for, unless the user changes it.
    bauds : tuple of int
        Rates that the board's USB chip makes exactly, the fastest first.
    usb : UsbChip
        That chip.
    leds, buttons : tuple of (str, int)
        The platform's resources, by name and number, from bit 0 of LEDS and BUTTONS on.
    """

    name: str
    title: str
    family: str
    device: str
    package: str
    budget: dict[str, int]
    input_clock_mhz: float
    clock_resource: str
    default_clock_mhz: float
    platform: Callable[[], Any]
    capability: Capability
    bauds: tuple[int, ...]
    usb: UsbChip
    leds: tuple[tuple[str, int], ...]
    buttons: tuple[tuple[str, int], ...]

    def clock_hz(self, clock_mhz: float) -> int:
        """A clock in Hz; raises `UserError`, with the nearest one, if the family cannot."""
        if not math.isfinite(clock_mhz) or clock_mhz <= 0:
            raise UserError(f"Clock must be a positive number of MHz, not {clock_mhz:g}")
        clock_hz = round(clock_mhz * 1e6)
        input_hz = round(self.input_clock_mhz * 1e6)
        try:
            find_family(self.family).clock(input_hz=input_hz, output_hz=clock_hz)
        except ValueError as error:
            raise UserError(str(error)) from error
        return clock_hz

    def clock_below(self, clock_mhz: float) -> float | None:
        """The fastest clock in whole MHz that is not above `clock_mhz`; None if there is none."""
        for candidate in range(int(clock_mhz), 0, -1):
            try:
                return self.clock_hz(candidate) / 1e6
            except UserError:
                continue
        return None

    def bauds_at(self, clock_hz: int) -> tuple[int, ...]:
        """The rates of the UART that this clock makes, the fastest first; there may be none."""
        return tuple(baud for baud in self.bauds if _divides(clock_hz, baud))

    def baud(self, clock_hz: int, asked: int | None = None) -> int:
        """The rate of the UART at this clock: the fastest, or the one that is asked for.

        Raises `UserError` if there is none, or if clock or USB chip do not make the one asked for.
        """
        known = self.bauds_at(clock_hz)
        if not known:
            raise UserError(
                f"Clock of {clock_hz / 1e6:g} MHz makes no baud rate of {self.title}'s serial port"
            )
        if asked is None:
            return known[0]
        if asked not in known:
            raise UserError(
                f"{self.title} has no baud rate {asked} at {clock_hz / 1e6:g} MHz; known: "
                f"{', '.join(map(str, known))}"
            )
        return asked

    def make_top(
        self, capability: Capability, clock_mhz: float, baud: int | None = None
    ) -> Elaboratable:
        """The whole design for this board, engine included; `baud` as for the method."""
        from hw.boards.top import BoardTop
        from hw.engine.engine import Engine

        clock_hz = self.clock_hz(clock_mhz)
        return BoardTop(
            engine=Engine(capability=capability),
            capability=capability,
            clock_hz=clock_hz,
            baud=self.baud(clock_hz, baud),
            input_hz=round(self.input_clock_mhz * 1e6),
            clock_resource=self.clock_resource,
            leds=self.leds,
            buttons=self.buttons,
        )


def _divides(clock_hz: int, baud: int) -> bool:
    try:
        divisor_for(clock_hz=clock_hz, baud=baud)
    except ValueError:
        return False
    return True

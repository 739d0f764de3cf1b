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
    uart : int or None
        Which of its interfaces is the serial line, counted from 0; None: none is.
    loader : tuple of str
        The board in the words of openFPGALoader: ``--board``, and ``--cable`` where that differs.
    documented : bool
        openFPGALoader's documents list the board under these words. Other words were chosen by what
        they do, and nobody has tried them.
    """

    vendor: int
    product: int
    name: str
    uart: int | None
    loader: tuple[str, ...]
    documented: bool = False


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board, its device and what the device has.

    Parameters
    ----------
    name : str
        What users type after ``--board``.
    title : str
        The board's name in reports.
    family, device, package, speed : str
        FPGA family (``"ice40"``), device, package and speed grade as its vendor writes them; no
        speed grade where the family has none.
    budget : dict of str to int
        Resources of the device, by the keys of its family's `resources`: for iCE40 ``lc`` logic
        cells, ``dsp`` multiplier blocks, ``ebr`` block RAMs, ``spram`` large RAMs; for ECP5
        ``lut``, ``ff``, ``dsp``, ``ebr``.
    input_clock_mhz : float
        Clock that the board feeds to the device, or the device's own oscillator, divided.
    clock_resource : str
        The platform's name for that clock.
    clock_tolerance : float
        How much faster than that the clock may be: a design is met with so much to spare.
    pll : str
        How other clocks are made of it: ``"pad"`` by a PLL at the clock's pin, ``"core"`` by a PLL
        to which the clock is routed, ``"none"`` not at all.
    default_clock_mhz : float
        Clock that the design runs at unless the user asks for another.
    platform : callable
        Makes the Amaranth platform.
    capability : Capability
        What the board is built for, unless the user changes it.
    bauds : tuple of int
        Rates that the board's USB chip makes exactly, the fastest first.
    usb : UsbChip or None
        That chip; None where openFPGALoader knows none.
    leds, buttons : tuple of (str, int)
        The platform's resources, by name and number, from bit 0 of LEDS and BUTTONS on. LEDs at
        resources `rgb_pad` are driven by the device's LED driver.
    uart : str or None
        Where the serial line leaves the board, for people; None: nowhere, and the device works
        alone.
    flash : (str, int)
        The platform's resource of the flash.
    by_hand : str
        How the flash is written where `usb` is None.
    high : tuple of (str, int)
        Outputs of the platform that are asserted all the time.
    network : str or None
        The network of the zoo that is built unless the user names one; None: the zoo's default.
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
    usb: UsbChip | None
    leds: tuple[tuple[str, int], ...]
    buttons: tuple[tuple[str, int], ...]
    clock_tolerance: float = 0.0
    pll: str = "pad"
    uart: str | None = "USB"
    flash: tuple[str, int] = ("spi_flash_1x", 0)
    by_hand: str = ""
    speed: str = ""
    high: tuple[tuple[str, int], ...] = ()
    network: str | None = None

    def usb_chip(self) -> UsbChip:
        """The chip; a `UserError` that says what to do where there is none."""
        if self.usb is None:
            raise UserError(
                f"No program writes the flash of the {self.title}: {self.by_hand}; make it with "
                "--image-only"
            )
        return self.usb

    def clock_hz(self, clock_mhz: float) -> int:
        """A clock in Hz; raises `UserError`, with the nearest one, if the family cannot."""
        if not math.isfinite(clock_mhz) or clock_mhz <= 0:
            raise UserError(f"Clock must be a positive number of MHz, not {clock_mhz:g}")
        clock_hz = round(clock_mhz * 1e6)
        input_hz = round(self.input_clock_mhz * 1e6)
        if self.pll == "none" and clock_hz != input_hz:
            raise UserError(
                f"{self.title} has one clock, {self.input_clock_mhz:g} MHz, not {clock_mhz:g} MHz"
            )
        try:
            find_family(self.family).clock(input_hz=input_hz, output_hz=clock_hz)
        except ValueError as error:
            raise UserError(str(error)) from error
        return clock_hz

    def clock_below(self, clock_mhz: float) -> float | None:
        """The fastest clock in whole MHz that is not above `clock_mhz`; None if there is none."""
        for candidate in range(int(clock_mhz / (1 + self.clock_tolerance)), 0, -1):
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
            high=self.high,
            uart=self.uart is not None,
            flash=self.flash,
            routed_clock=self.pll == "core",
        )


def _divides(clock_hz: int, baud: int) -> bool:
    try:
        divisor_for(clock_hz=clock_hz, baud=baud)
    except ValueError:
        return False
    return True

"""The whole design on a board: clock, pins, and the system on chip behind them."""

from amaranth.build import Subsignal
from amaranth.hdl import ClockDomain, Elaboratable, Module
from amaranth.lib import io

from hw.boards.up5k_cells import RgbDriver
from hw.families import find_family
from hw.soc.soc import Soc

__all__ = ["BoardTop"]


class BoardTop(Elaboratable):
    """`hw.soc.soc.Soc` on a board of amaranth-boards: clock, UART, flash, LEDs, buttons.

    Not a `Component`: it has no ports, its pins come from the platform: the resources `uart` and
    `flash`, the LEDs and buttons named in `leds` and `buttons`.

    Parameters
    ----------
    engine, capability, baud
        As for `Soc`.
    clock_hz : int
        Clock of the design: the board's own, or one that its family makes of it.
    input_hz : int
        The board's clock, on the resource `clock_resource`.
    clock_resource : str
        Name of the platform's clock input.
    leds, buttons : sequence of (str, int)
        Resources, by name and number, from bit 0 on. Those named `rgb_pad` are pads of an LED
        driver.
    uart : bool
        False: the board has no serial line; the input is idle for ever, the output leads nowhere.
    flash : (str, int)
        Resource of the flash, on single lines. It may lack write protection and hold, and the clock
        where that is a cell of the family.
    high : sequence of (str, int)
        Outputs that are asserted all the time.
    routed_clock : bool
        The clock's pin is not the PLL's: the clock is routed there.

    Raises
    ------
    ValueError
        The family cannot make the clock (see `hw.families.family.Family.clock`), or as `Soc`.
    """

    def __init__(
        self,
        *,
        engine,
        capability,
        clock_hz,
        baud,
        input_hz,
        clock_resource,
        leds=(),
        buttons=(),
        high=(),
        uart=True,
        flash=("spi_flash_1x", 0),
        routed_clock=False,
    ):
        self._family = find_family(capability.family)
        self._clock = self._family.clock(input_hz=input_hz, output_hz=clock_hz)
        self._clock_resource = clock_resource
        self._leds = leds
        self._buttons = buttons
        self._high = high
        self._uart = uart
        self._flash = flash
        self._routed_clock = routed_clock
        self.soc = Soc(engine=engine, capability=capability, clock_hz=clock_hz, baud=baud)

    def elaborate(self, platform):
        m = Module()
        if self._clock is not None:
            m.domains.sync = ClockDomain()
            m.submodules.clock = self._family.blocks().clock_domain(
                self._clock, self._clock_resource, routed=self._routed_clock
            )
        m.submodules.soc = soc = self.soc

        def output(name, pin, value):
            m.submodules[name] = buffer = io.Buffer("o", pin)
            m.d.comb += buffer.o.eq(value)

        def input_(name, pin, value):
            m.submodules[name] = buffer = io.Buffer("i", pin)
            m.d.comb += value.eq(buffer.i)

        if self._uart:
            uart = platform.request("uart", dir=_pins(platform, "uart"))
            input_("rx", uart.rx, soc.uart_rx)
            output("tx", uart.tx, soc.uart_tx)
        else:
            m.d.comb += soc.uart_rx.eq(1)
        pins = _pins(platform, *self._flash)
        flash = platform.request(*self._flash, dir=pins)
        # Pins that are low when active are inverted by the platform.
        output("flash_cs", flash.cs, ~soc.flash_cs_n)
        if self._family.flash_clock_is_a_cell:
            self._family.blocks().flash_clock(m, soc.flash_sck)
        else:
            output("flash_clk", flash.clk, soc.flash_sck)
        output("flash_copi", flash.copi, soc.flash_copi)
        input_("flash_cipo", flash.cipo, soc.flash_cipo)
        for name in ("wp", "hold"):
            if name in pins:
                output(f"flash_{name}", getattr(flash, name), 0)
        pads = {}
        for bit, (name, number) in enumerate(self._leds):
            pin = platform.request(name, number, dir="-")
            if name == "rgb_pad":
                pads[number] = (pin.io, soc.leds[bit])
            else:
                output(f"led{bit}", pin, soc.leds[bit])
        if pads:
            m.submodules.rgb = RgbDriver(pads)
        for bit, (name, number) in enumerate(self._buttons):
            input_(f"button{bit}", platform.request(name, number, dir="-"), soc.buttons[bit])
        for name, number in self._high:
            output(name, platform.request(name, number, dir="-"), 1)
        return m


def _pins(platform, name, number=0):
    """The pins of a resource, each to be had as it is."""
    described = platform.lookup(name, number).ios
    return {one.name: "-" for one in described if isinstance(one, Subsignal)}

"""The whole design on a board: clock, pins, and the system on chip behind them."""

from amaranth.hdl import ClockDomain, Elaboratable, Module
from amaranth.lib import io

from hw.families import find_family
from hw.soc.soc import Soc

__all__ = ["BoardTop"]


class BoardTop(Elaboratable):
    """`hw.soc.soc.Soc` on a board of amaranth-boards: clock, UART, flash, LEDs, buttons.

    Not a `Component`: it has no ports, its pins come from the platform: the resources `uart` and
    `spi_flash_1x`, the LEDs and buttons named in `leds` and `buttons`.

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
        Resources, by name and number, from bit 0 on.

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
    ):
        self._family = find_family(capability.family)
        self._clock = self._family.clock(input_hz=input_hz, output_hz=clock_hz)
        self._clock_resource = clock_resource
        self._leds = leds
        self._buttons = buttons
        self.soc = Soc(engine=engine, capability=capability, clock_hz=clock_hz, baud=baud)

    def elaborate(self, platform):
        m = Module()
        if self._clock is not None:
            m.domains.sync = ClockDomain()
            m.submodules.clock = self._family.blocks().clock_domain(
                self._clock, self._clock_resource
            )
        m.submodules.soc = soc = self.soc

        def output(name, pin, value):
            m.submodules[name] = buffer = io.Buffer("o", pin)
            m.d.comb += buffer.o.eq(value)

        def input_(name, pin, value):
            m.submodules[name] = buffer = io.Buffer("i", pin)
            m.d.comb += value.eq(buffer.i)

        uart = platform.request("uart", dir={"rx": "-", "tx": "-"})
        input_("rx", uart.rx, soc.uart_rx)
        output("tx", uart.tx, soc.uart_tx)
        pins = ("cs", "clk", "copi", "cipo", "wp", "hold")
        flash = platform.request("spi_flash_1x", dir=dict.fromkeys(pins, "-"))
        # Pins that are low when active are inverted by the platform.
        output("flash_cs", flash.cs, ~soc.flash_cs_n)
        output("flash_clk", flash.clk, soc.flash_sck)
        output("flash_copi", flash.copi, soc.flash_copi)
        input_("flash_cipo", flash.cipo, soc.flash_cipo)
        for name in ("wp", "hold"):
            output(f"flash_{name}", getattr(flash, name), 0)
        for bit, (name, number) in enumerate(self._leds):
            output(f"led{bit}", platform.request(name, number, dir="-"), soc.leds[bit])
        for bit, (name, number) in enumerate(self._buttons):
            input_(f"button{bit}", platform.request(name, number, dir="-"), soc.buttons[bit])
        return m

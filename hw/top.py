"""The whole design: the device behind a UART bridge, and its place on a board."""

from amaranth.hdl import ClockDomain, Elaboratable, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from hw.bus.uart import Receiver, Transmitter, divisor_for
from hw.bus.uartbone import UARTBone
from hw.device import ADDRESS_WIDTH, Device
from hw.pll import PLLClock, solve_pll

__all__ = ["DEFAULT_BAUD", "TIMEOUT_SECONDS", "BoardTop", "Core"]

DEFAULT_BAUD = 1_000_000

TIMEOUT_SECONDS = 0.1
"""Silence after which the bridge forgets an unfinished command (at most twice this: see
`hw.bus.uartbone`). A host resynchronises by waiting for 2 * TIMEOUT_SECONDS."""


class Core(wiring.Component):
    """UART, UARTBone bridge and device, in the domain `sync`: all but the pins and the PLL.

    This is what simulation runs (Verilog ports: clk, rst, uart_rx, uart_tx, led_busy, led_done)
    and what `BoardTop` puts on a board.

    Parameters
    ----------
    engine : Component
        With a member `host` of signature `hw.engine.interface.HostPort`.
    capability : hw.capability.Capability
        What the engine was built for.
    clock_hz : int
        Clock of `sync`.
    baud : int
        Rate of the UART.

    Members
    -------
    uart_rx : In(1)
        From the host, asynchronous.
    uart_tx : Out(1)
        To the host.
    led_busy : Out(1)
        A frame is running.
    led_done : Out(1)
        Steady while the last frame is complete, else a heartbeat of a few Hz.

    Raises
    ------
    TypeError, ValueError
        Wrong capability or clock; a baud rate that is off by more than 2 %.
    """

    def __init__(self, *, engine, capability, clock_hz, baud=DEFAULT_BAUD):
        self._divisor = divisor_for(clock_hz=clock_hz, baud=baud)
        self._clock_hz = clock_hz
        self._engine = engine
        self._device = Device(engine=engine, capability=capability, clock_hz=clock_hz)
        super().__init__({
            "uart_rx": In(1, init=1),
            "uart_tx": Out(1, init=1),
            "led_busy": Out(1),
            "led_done": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.submodules.device = device = self._device
        m.submodules.receiver = receiver = Receiver(divisor=self._divisor)
        m.submodules.transmitter = transmitter = Transmitter(divisor=self._divisor)
        m.submodules.bridge = bridge = UARTBone(
            addr_width=ADDRESS_WIDTH, timeout=round(self._clock_hz * TIMEOUT_SECONDS)
        )
        wiring.connect(m, receiver.o_stream, bridge.i_stream)
        wiring.connect(m, bridge.o_stream, transmitter.i_stream)
        wiring.connect(m, bridge.bus, device.bus)
        host = self._engine.host
        m.d.sync += [
            self.led_busy.eq(host.busy),
            self.led_done.eq(host.done | bridge.heartbeat),
        ]
        m.d.comb += [receiver.rx.eq(self.uart_rx), self.uart_tx.eq(transmitter.tx)]
        return m


class BoardTop(Elaboratable):
    """`Core` on an iCE40 board of amaranth-boards: PLL, UART pins, LEDs.

    Not a `Component`: it has no ports, its pins come from the platform. `led_r` is busy, `led_g`
    is done or heartbeat, `uart` is the UART.

    Parameters
    ----------
    engine, capability, baud
        As for `Core`.
    clock_hz : int
        Clock of the design: the board's own, or one that the PLL makes of it.
    input_hz : int
        The board's clock, on the resource `clock_resource`.
    clock_resource : str
        Name of the platform's clock input.

    Raises
    ------
    ValueError
        The PLL cannot make the clock (see `hw.pll.solve_pll`), or as `Core`.
    """

    def __init__(
        self,
        *,
        engine,
        capability,
        clock_hz,
        input_hz=12_000_000,
        clock_resource="clk12",
        baud=DEFAULT_BAUD,
    ):
        self._pll = None
        if clock_hz != input_hz:
            self._pll = solve_pll(input_hz=input_hz, output_hz=clock_hz)
        self._clock_resource = clock_resource
        self.core = Core(engine=engine, capability=capability, clock_hz=clock_hz, baud=baud)

    def elaborate(self, platform):
        m = Module()
        if self._pll is not None:
            m.domains.sync = ClockDomain()
            m.submodules.clock = PLLClock(settings=self._pll, resource=self._clock_resource)
        m.submodules.core = core = self.core
        uart = platform.request("uart", dir={"rx": "-", "tx": "-"})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [core.uart_rx.eq(rx.i), tx.o.eq(core.uart_tx)]
        for name, value in (("led_r", core.led_busy), ("led_g", core.led_done)):
            led = io.Buffer("o", platform.request(name, dir="-"))
            m.submodules[name] = led
            m.d.comb += led.o.eq(value)
        return m

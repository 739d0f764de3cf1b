# amaranth: UnusedElaboratable=no
"""Registers in a row, against a list."""

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.engine.delay import delayed
from tests.hw.bus.helpers import seeded, simulate

PAIR = data.StructLayout({"low": 3, "high": signed(4)})


class Delay(wiring.Component):
    """A pair, so many cycles later."""

    def __init__(self, cycles):
        self.cycles = cycles
        super().__init__({"i": In(PAIR), "o": Out(PAIR)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(delayed(m, self.i, self.cycles, name="pair"))
        return m


@pytest.mark.parametrize("cycles", [0, 1, 3])
def test_delayed(cycles):
    rng = seeded(cycles)
    dut = Delay(cycles)
    given = []

    async def bench(ctx):
        for _ in range(40):
            given.append((rng.randrange(8), rng.randrange(-8, 8)))
            ctx.set(dut.i, dict(zip(("low", "high"), given[-1], strict=True)))
            found = ctx.get(dut.o)
            if len(given) > cycles:
                assert (found.low, found.high) == given[-1 - cycles]
            await ctx.tick()

    simulate(dut, testbenches=[bench])


def test_without_a_register_the_value_itself():
    m, value = Module(), Signal(5)
    assert delayed(m, value, 0, name="none") is value

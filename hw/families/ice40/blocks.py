"""Hard blocks of the iCE40 UP5K that a design instantiates: multipliers, large memories, PLL."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import (
    Cat,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    Module,
    Signal,
    Value,
    signed,
)
from amaranth.lib import data, io, wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.utils import exact_log2

from hw.capability import PRODUCT_BITS
from hw.families.ice40.pll import PLLSettings
from hw.weight_blocks import SPRAM

__all__ = ["PLLClock", "clock_domain", "products", "weight_store"]


def products(m: Module, operands: Sequence[Value], value: Value) -> list[Value]:
    """Two lanes in one SB_MAC16: 8x8 multipliers, registered inputs and products (TN1295)."""
    products = []
    for pair in range(len(operands) // 2):
        product = Signal(data.ArrayLayout(signed(PRODUCT_BITS), 2), name=f"product{2 * pair}")
        m.submodules[f"mac{pair}"] = Instance(
            "SB_MAC16",
            p_A_REG=1,
            p_B_REG=1,
            p_TOP_8x8_MULT_REG=1,
            p_BOT_8x8_MULT_REG=1,
            p_TOPOUTPUT_SELECT=2,  # 8x8 product
            p_BOTOUTPUT_SELECT=2,
            p_MODE_8x8=1,
            p_A_SIGNED=1,
            p_B_SIGNED=0,
            i_CLK=ClockSignal(),
            i_CE=Const(1),
            i_A=Cat(operands[2 * pair : 2 * pair + 2]),
            i_B=value.replicate(2),
            i_C=Const(0, 16),
            i_D=Const(0, 16),
            i_AHOLD=Const(0),
            i_BHOLD=Const(0),
            i_CHOLD=Const(0),
            i_DHOLD=Const(0),
            i_IRSTTOP=Const(0),
            i_IRSTBOT=Const(0),
            i_ORSTTOP=Const(0),
            i_ORSTBOT=Const(0),
            i_OLOADTOP=Const(0),
            i_OLOADBOT=Const(0),
            i_ADDSUBTOP=Const(0),
            i_ADDSUBBOT=Const(0),
            i_OHOLDTOP=Const(0),
            i_OHOLDBOT=Const(0),
            i_CI=Const(0),
            i_ACCUMCI=Const(0),
            i_SIGNEXTIN=Const(0),
            o_O=product.as_value(),
        )
        products += [product[0], product[1]]
    return products


def weight_store(m: Module, port: Any, write: Sequence[Value], *, depth: int) -> None:
    """Words over SB_SPRAM256KA blocks, 16 bits in each (TN1314, table 1).

    Every block has the same depth; the capability keeps `depth` within it.
    """
    address = Signal(exact_log2(SPRAM.depth))
    m.d.comb += address.eq(port.addr)
    for block in range(len(port.data) // SPRAM.bits):
        m.submodules[f"{SPRAM.name}{block}"] = Instance(
            "SB_SPRAM256KA",
            i_CLOCK=ClockSignal(),
            i_ADDRESS=address,
            i_DATAIN=port.write_data.word_select(block % 2, SPRAM.bits),
            i_MASKWREN=Cat(  # of each 4 bits
                port.write_mask[block % 2 * 2 + byte].replicate(2) for byte in range(2)
            ),
            i_WREN=write[block // 2],
            i_CHIPSELECT=Const(1),
            i_STANDBY=Const(0),
            i_SLEEP=Const(0),
            i_POWEROFF=Const(1),  # active low
            o_DATAOUT=port.data.word_select(block, SPRAM.bits),
        )


class PLLClock(wiring.Component):
    """Drives the domain `sync`, which its parent defines: the PLL's clock, in reset until it locks.

    Parameters
    ----------
    settings : PLLSettings
        Dividers.
    resource : str
        The platform's clock input.
    routed : bool
        Its pin has no PLL: the clock is routed to an SB_PLL40_CORE. Else an SB_PLL40_PAD takes the
        pin for itself.

    nextpnr derives the constraint of `sync` from the pin's frequency and the dividers.
    """

    def __init__(self, *, settings, resource, routed=False):
        if not isinstance(settings, PLLSettings):
            raise TypeError(f"Settings must be PLLSettings, not {settings!r}")
        self._settings = settings
        self._resource = resource
        self._routed = routed
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        pin = platform.request(self._resource, dir="-")
        if self._routed:
            m.submodules.pin = buffer = io.Buffer("i", pin)
            cell, source = "SB_PLL40_CORE", {"i_REFERENCECLK": buffer.i}
        else:
            pad = pin.io if isinstance(pin, io.SingleEndedPort) else pin
            cell, source = "SB_PLL40_PAD", {"i_PACKAGEPIN": pad}
        clock = Signal()
        lock = Signal()
        settings = self._settings
        m.submodules.pll = Instance(
            cell,
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=settings.divr,
            p_DIVF=settings.divf,
            p_DIVQ=settings.divq,
            p_FILTER_RANGE=settings.filter_range,
            **source,
            i_RESETB=1,
            i_BYPASS=0,
            o_PLLOUTGLOBAL=clock,
            o_LOCK=lock,
        )
        m.d.comb += ClockSignal("sync").eq(clock)
        m.submodules.reset = ResetSynchronizer(~lock, domain="sync")
        return m


def clock_domain(settings: PLLSettings, resource: str, *, routed: bool) -> Elaboratable:
    """Drives `sync` by a PLL on the platform's clock input of that name, or routed from there."""
    return PLLClock(settings=settings, resource=resource, routed=routed)

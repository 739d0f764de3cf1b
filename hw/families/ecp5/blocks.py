"""Blocks of the ECP5: PLL and clock of the flash; multipliers and memories are inferred."""

from amaranth.hdl import ClockSignal, Const, Elaboratable, Instance, Module, Signal, Value
from amaranth.lib import io, wiring
from amaranth.lib.cdc import ResetSynchronizer

from hw.families.ecp5.pll import PLLSettings
from hw.families.generic.blocks import products, weight_store

__all__ = ["PLLClock", "clock_domain", "flash_clock", "products", "weight_store"]


class PLLClock(wiring.Component):
    """Drives the domain `sync`, which its parent defines: the PLL's clock, in reset until it locks.

    Parameters
    ----------
    settings : PLLSettings
        Dividers.
    resource : str
        The platform's clock input.

    Makes an EHXPLLL. nextpnr derives the constraint of `sync` from the pin's frequency and the
    dividers.
    """

    def __init__(self, *, settings, resource):
        if not isinstance(settings, PLLSettings):
            raise TypeError(f"Settings must be PLLSettings, not {settings!r}")
        self._settings = settings
        self._resource = resource
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.pin = pin = io.Buffer("i", platform.request(self._resource, dir="-"))
        clock = Signal()
        feedback = Signal()
        lock = Signal()
        settings = self._settings
        m.submodules.pll = Instance(
            "EHXPLLL",
            p_CLKI_DIV=settings.clki_div,
            p_CLKFB_DIV=1,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=settings.clkop_div,
            p_CLKOP_CPHASE=settings.clkop_div - 1,
            p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=settings.clkos_div,
            p_CLKOS_CPHASE=settings.clkos_div - 1,
            p_CLKOS_FPHASE=0,
            p_FEEDBK_PATH="CLKOP",
            p_OUTDIVIDER_MUXA="DIVA",
            p_OUTDIVIDER_MUXB="DIVB",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            # The loop filter, as ecppll of Project Trellis sets it for every frequency.
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            i_CLKI=pin.i,
            i_CLKFB=feedback,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            i_ENCLKOS=Const(0),
            o_CLKOP=feedback,
            o_CLKOS=clock,
            o_LOCK=lock,
        )
        m.d.comb += ClockSignal("sync").eq(clock)
        m.submodules.reset = ResetSynchronizer(~lock, domain="sync")
        return m


def clock_domain(settings: PLLSettings, resource: str, *, routed: bool) -> Elaboratable:
    """Drives `sync` by a PLL on the platform's clock input of that name.

    Every clock here goes through a buffer to its PLL, `routed` or not.
    """
    return PLLClock(settings=settings, resource=resource)


def flash_clock(m: Module, clock: Value) -> None:
    """Drive the clock of the configuration flash: the pin MCLK, which only USRMCLK reaches.

    Source: Lattice FPGA-TN-02039 (ECP5 sysCONFIG), "Master SPI Mode".
    """
    m.submodules.flash_clk = Instance("USRMCLK", i_USRMCLKI=clock, i_USRMCLKTS=Const(0))

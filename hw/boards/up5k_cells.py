"""Hard blocks of the iCE40UP5K at the edge of a board: LED driver, PLL behind a routed clock."""

from amaranth.hdl import ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from hw.families.ice40.pll import PLLSettings

__all__ = ["RgbDriver", "RoutedClock"]


class RgbDriver(Elaboratable):
    """Lights LEDs at the pads RGB0 to RGB2 with 4 mA each (Lattice FPGA-TN-1288).

    Parameters
    ----------
    pads : dict of int to (IOValue, Value)
        Pad and whether the LED at it is on, by the number of the pad.
    """

    def __init__(self, pads):
        self._pads = pads

    def elaborate(self, platform):
        m = Module()
        ports = {}
        for number in range(3):
            pad, on = self._pads.get(number, (None, 0))
            ports[f"p_RGB{number}_CURRENT"] = "0b000011"
            ports[f"i_RGB{number}PWM"] = on
            if pad is not None:
                ports[f"o_RGB{number}"] = pad
        m.submodules.driver = Instance(
            "SB_RGBA_DRV", p_CURRENT_MODE="0b1", i_CURREN=1, i_RGBLEDEN=1, **ports
        )
        return m


class RoutedClock(Elaboratable):
    """Drives the domain `sync`, which its parent defines, as the family's PLL clock does.

    For a clock input at a pin that has no PLL: an SB_PLL40_CORE, to which the clock is routed.

    Parameters
    ----------
    settings : PLLSettings
        Dividers.
    resource : str
        The platform's clock input.
    """

    def __init__(self, settings, resource):
        if not isinstance(settings, PLLSettings):
            raise TypeError(f"Settings must be PLLSettings, not {settings!r}")
        self._settings = settings
        self._resource = resource

    def elaborate(self, platform):
        m = Module()
        m.submodules.pin = pin = io.Buffer("i", platform.request(self._resource, dir="-"))
        clock, lock = Signal(), Signal()
        settings = self._settings
        m.submodules.pll = Instance(
            "SB_PLL40_CORE",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=settings.divr,
            p_DIVF=settings.divf,
            p_DIVQ=settings.divq,
            p_FILTER_RANGE=settings.filter_range,
            i_REFERENCECLK=pin.i,
            i_RESETB=1,
            i_BYPASS=0,
            o_PLLOUTGLOBAL=clock,
            o_LOCK=lock,
        )
        m.d.comb += ClockSignal("sync").eq(clock)
        m.submodules.reset = ResetSynchronizer(~lock, domain="sync")
        return m

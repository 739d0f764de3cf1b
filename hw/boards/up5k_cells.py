"""A hard block of the iCE40UP5K at the edge of a board: its LED driver."""

from amaranth.hdl import Elaboratable, Instance, Module

__all__ = ["RgbDriver"]


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

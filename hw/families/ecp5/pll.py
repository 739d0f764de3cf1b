"""The PLL of ECP5 devices: solver for its dividers. Free of Amaranth."""

from dataclasses import dataclass

from hw.families.clocks import choose_clock, within

__all__ = ["PLLSettings", "reachable_clocks", "solve_pll"]

INPUT_HZ = (10e6, 400e6)
PHASE_DETECTOR_HZ = (10e6, 400e6)
OSCILLATOR_HZ = (400e6, 800e6)
OUTPUT_HZ = (3.125e6, 400e6)
_DIVIDERS = range(1, 129)


@dataclass(frozen=True, kw_only=True)
class PLLSettings:
    """Dividers of an EHXPLLL whose output CLKOP feeds back: out = in · CLKOP / (CLKI · CLKOS).

    CLKFB_DIV is 1, so CLKOP runs as fast as the phase detector, and the oscillator CLKOP_DIV times
    as fast.

    Parameters
    ----------
    input_hz : int
        Reference clock.
    clki_div, clkop_div, clkos_div : int
        As the primitive takes them, 1 to 128. The clock is the output CLKOS.
    """

    input_hz: int
    clki_div: int
    clkop_div: int
    clkos_div: int

    @property
    def oscillator_hz(self) -> float:
        """Frequency of the oscillator, exact to the rounding of one division."""
        return self.input_hz * self.clkop_div / self.clki_div

    @property
    def output_hz(self) -> float:
        """Frequency made, exact to the rounding of one division."""
        return self.input_hz * self.clkop_div / (self.clki_div * self.clkos_div)


def reachable_clocks(*, input_hz: int) -> dict[float, PLLSettings]:
    """Dict of output frequency, Hz, to the `PLLSettings` with the fastest phase detector.

    Empty where the input is out of range. Of equal phase detectors the faster oscillator wins:
    both lower the jitter.
    """
    clocks: dict[float, PLLSettings] = {}
    if not within(input_hz, INPUT_HZ):
        return clocks
    for clki_div in _DIVIDERS:
        if not within(input_hz / clki_div, PHASE_DETECTOR_HZ):
            continue
        for clkop_div in reversed(_DIVIDERS):
            if not within(input_hz * clkop_div / clki_div, OSCILLATOR_HZ):
                continue
            for clkos_div in _DIVIDERS:
                settings = PLLSettings(
                    input_hz=input_hz, clki_div=clki_div, clkop_div=clkop_div, clkos_div=clkos_div
                )
                if within(settings.output_hz, OUTPUT_HZ):
                    clocks.setdefault(settings.output_hz, settings)
    return clocks


def solve_pll(*, input_hz: int, output_hz: int) -> PLLSettings:
    """`PLLSettings` for an output clock, to 1 Hz.

    Raises
    ------
    ValueError
        The clock is not reachable; the text names the nearest one.

    Source: Lattice FPGA-DS-02012 (ECP5 data sheet), table of sysCLOCK PLL timing, for the ranges;
    FPGA-TN-02200 (ECP5 sysCLOCK PLL design guide) for the dividers. Of the two lowest frequencies
    of the phase detector that these documents have, 3.125 and 10 MHz, 10 MHz is kept. Inputs of 8
    to 10 MHz, which need the other, are refused.
    """
    return choose_clock(
        reachable_clocks(input_hz=input_hz),
        input_hz=input_hz,
        output_hz=output_hz,
        input_limits=INPUT_HZ,
    )

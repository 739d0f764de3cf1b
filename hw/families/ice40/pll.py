"""The PLL of iCE40 devices: solver for its dividers. Free of Amaranth."""

from dataclasses import dataclass

from hw.families.clocks import choose_clock, within

__all__ = ["PLLSettings", "reachable_clocks", "solve_pll"]

INPUT_HZ = (10e6, 133e6)
PHASE_DETECTOR_HZ = (10e6, 133e6)
OSCILLATOR_HZ = (533e6, 1066e6)
OUTPUT_HZ = (16e6, 275e6)
_DIVR, _DIVF, _DIVQ = range(16), range(128), range(1, 7)

# Highest phase detector frequency of each FILTER_RANGE, from 1.
_FILTER_HZ = (17e6, 26e6, 44e6, 66e6, 101e6, 133e6)


@dataclass(frozen=True, kw_only=True)
class PLLSettings:
    """Dividers of an SB_PLL40 in SIMPLE feedback: out = in · (DIVF + 1) / ((DIVR + 1) · 2^DIVQ).

    Parameters
    ----------
    input_hz : int
        Reference clock.
    divr, divf, divq, filter_range : int
        As the primitive takes them.
    """

    input_hz: int
    divr: int
    divf: int
    divq: int
    filter_range: int

    @property
    def output_hz(self) -> float:
        """Frequency made, exact to the rounding of one division."""
        return self.input_hz * (self.divf + 1) / ((self.divr + 1) << self.divq)


def reachable_clocks(*, input_hz: int) -> dict[float, PLLSettings]:
    """Dict of output frequency, Hz, to the `PLLSettings` with the fastest phase detector.

    Empty where the input is out of range. Of equal phase detectors the faster oscillator wins:
    both lower the jitter.
    """
    clocks: dict[float, PLLSettings] = {}
    for divr in _DIVR:
        detector = input_hz / (divr + 1)
        if not (within(input_hz, INPUT_HZ) and within(detector, PHASE_DETECTOR_HZ)):
            continue
        filter_range = 1 + sum(detector >= limit for limit in _FILTER_HZ[:-1])
        for divq in sorted(_DIVQ, reverse=True):
            for divf in _DIVF:
                settings = PLLSettings(
                    input_hz=input_hz, divr=divr, divf=divf, divq=divq, filter_range=filter_range
                )
                if within(detector * (divf + 1), OSCILLATOR_HZ):
                    if within(settings.output_hz, OUTPUT_HZ):
                        clocks.setdefault(settings.output_hz, settings)
    return clocks


def solve_pll(*, input_hz: int, output_hz: int) -> PLLSettings:
    """`PLLSettings` for an output clock, to 1 Hz.

    Raises
    ------
    ValueError
        The clock is not reachable; the text names the nearest one.

    Source: Lattice FPGA-DS-02008 (iCE40 UltraPlus data sheet), table of sysCLOCK PLL timing, for
    the ranges; FPGA-TN-02052 (iCE40 sysCLOCK PLL design guide) for the dividers.
    """
    return choose_clock(
        reachable_clocks(input_hz=input_hz),
        input_hz=input_hz,
        output_hz=output_hz,
        input_limits=INPUT_HZ,
    )

"""The ECP5's PLL: every setting is within the data sheet, and no clock within it is missed."""

import re

import pytest

from hw.families.ecp5.pll import PLLSettings, reachable_clocks, solve_pll

INPUTS = (
    9_000_000,
    10_000_000,
    12_000_000,
    25_000_000,
    30_000_000,
    48_000_000,
    50_000_000,
    100_000_000,
)


@pytest.mark.parametrize(
    "input_mhz, mhz, clki, clkop, clkos",
    [
        (25, 60, 1, 24, 10),
        (25, 50, 1, 32, 16),
        (48, 60, 1, 15, 12),
        (50, 60, 1, 12, 10),
        (100, 60, 1, 6, 10),
        (30, 60, 1, 26, 13),
        (25, 62.5, 1, 30, 12),
    ],
)
def test_clocks(input_mhz, mhz, clki, clkop, clkos):
    settings = solve_pll(input_hz=input_mhz * 1_000_000, output_hz=round(mhz * 1e6))
    assert settings == PLLSettings(
        input_hz=input_mhz * 1_000_000, clki_div=clki, clkop_div=clkop, clkos_div=clkos
    )
    assert settings.output_hz == mhz * 1e6


@pytest.mark.parametrize("input_hz", INPUTS)
def test_every_solution_is_within_the_data_sheet(input_hz):
    for output, one in reachable_clocks(input_hz=input_hz).items():
        assert all(1 <= d <= 128 for d in (one.clki_div, one.clkop_div, one.clkos_div))
        assert 10e6 <= input_hz / one.clki_div <= 400e6
        assert 400e6 <= one.oscillator_hz <= 800e6
        assert 3.125e6 <= output <= 400e6
        # The primitive's own equations: CLKOP feeds back, divided by CLKFB_DIV = 1.
        clkop = input_hz / one.clki_div
        assert one.oscillator_hz == pytest.approx(clkop * one.clkop_div)
        assert output == pytest.approx(one.oscillator_hz / one.clkos_div)


@pytest.mark.parametrize("input_hz", INPUTS)
def test_against_all_dividers(input_hz):
    """Every triple is tried in integers: the same clocks, and no faster phase detector."""
    best = {}
    for clki in range(1, 129):
        for clkop in range(1, 129):
            if not 400_000_000 * clki <= input_hz * clkop <= 800_000_000 * clki:
                continue
            if input_hz < 10_000_000 * clki:
                continue
            for clkos in range(1, 129):
                over = clki * clkos
                if 3_125_000 * over <= input_hz * clkop <= 400_000_000 * over:
                    output = input_hz * clkop / over
                    best[output] = min(best.get(output, 999), clki)
    found = reachable_clocks(input_hz=input_hz)
    assert {output: one.clki_div for output, one in found.items()} == best
    assert bool(best) == (input_hz >= 10_000_000)


@pytest.mark.parametrize(
    "input_hz, output_hz, text",
    [
        (
            25_000_000,
            1_000_000,
            "Clock of 1 MHz is not reachable from 25 MHz; the nearest is 3.125 MHz",
        ),
        (7_000_000, 50_000_000, "PLL input must be from 10 to 400 MHz, not 7 MHz"),
    ],
)
def test_clock_out_of_reach(input_hz, output_hz, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        solve_pll(input_hz=input_hz, output_hz=output_hz)

import re

import pytest

from hw.families.ice40.pll import PLLSettings, reachable_clocks, solve_pll


@pytest.mark.parametrize(
    "mhz, divf, divq",
    # As Lattice's own tool and icepll have them for 12 MHz.
    [(16.5, 87, 6), (24, 63, 5), (30, 79, 5), (33, 87, 5), (36, 47, 4), (48, 63, 4), (60, 79, 4)],
)
def test_clocks_from_12_mhz(mhz, divf, divq):
    settings = solve_pll(input_hz=12_000_000, output_hz=round(mhz * 1e6))
    assert settings == PLLSettings(
        input_hz=12_000_000, divr=0, divf=divf, divq=divq, filter_range=1
    )
    assert settings.output_hz == mhz * 1e6


@pytest.mark.parametrize("input_hz", [10e6, 12e6, 25e6, 100e6, 133e6])
def test_every_solution_is_within_the_data_sheet(input_hz):
    clocks = reachable_clocks(input_hz=int(input_hz))
    assert len(clocks) > 100
    for output, one in clocks.items():
        detector = input_hz / (one.divr + 1)
        oscillator = detector * (one.divf + 1)
        assert 10e6 <= detector <= 133e6
        assert 533e6 <= oscillator <= 1066e6
        assert 16e6 <= output <= 275e6
        assert output == pytest.approx(oscillator / 2**one.divq)
        assert 0 <= one.divr < 16 and 0 <= one.divf < 128 and 1 <= one.divq <= 6
        limits = (0, 17e6, 26e6, 44e6, 66e6, 101e6, 134e6)
        assert limits[one.filter_range - 1] <= detector < limits[one.filter_range]


@pytest.mark.parametrize(
    "input_hz, output_hz, text",
    [
        (
            12_000_000,
            36_100_000,
            "Clock of 36.1 MHz is not reachable from 12 MHz; the nearest is 36 MHz",
        ),
        (
            12_000_000,
            5_000_000,
            "Clock of 5 MHz is not reachable from 12 MHz; the nearest is 16.125 MHz",
        ),
        (9_000_000, 36_000_000, "PLL input must be from 10 to 133 MHz, not 9 MHz"),
    ],
)
def test_clock_out_of_reach(input_hz, output_hz, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        solve_pll(input_hz=input_hz, output_hz=output_hz)

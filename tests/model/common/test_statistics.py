"""Student's t against its density integrated, and intervals against numbers worked out by hand."""

from math import gamma, pi, sqrt

import numpy as np
import pytest

from model.common.statistics import QUANTILES, interval, paired


@pytest.mark.parametrize("freedom", range(1, 31))
def test_quantiles_leave_95_percent_inside(freedom):
    edge = QUANTILES[freedom - 1]
    x = np.linspace(-edge, edge, 200_001)
    scale = gamma((freedom + 1) / 2) / (sqrt(freedom * pi) * gamma(freedom / 2))
    density = scale * (1 + x * x / freedom) ** (-(freedom + 1) / 2)
    assert np.trapezoid(density, x) == pytest.approx(0.95, abs=6e-5)


def test_interval():
    found = interval([1.0, 2.0, 3.0])  # deviation 1: 4.303 / √3
    assert (found.mean, found.n) == (2.0, 3)
    assert found.half == pytest.approx(4.303 / sqrt(3))
    assert found.low == pytest.approx(2 - found.half) and found.high == pytest.approx(
        2 + found.half
    )
    assert found.text() == "2.00 ± 2.48" and found.text(sign=True) == "+2.00 ± 2.48"


def test_one_value_has_no_interval():
    found = interval([86.123])
    assert found.half is None and found.low == found.high == found.mean
    assert found.text() == "86.12"
    with pytest.raises(ValueError, match="at least one value"):
        interval([])


def test_many_values_take_the_last_quantile():
    values = [float(i % 2) for i in range(100)]
    deviation = sqrt(25 / 99)
    assert interval(values).half == pytest.approx(2.042 * deviation / 10)


def test_paired_takes_common_seeds_alone():
    found = paired({0: 90.0, 1: 91.0, 7: 50.0}, {0: 89.0, 1: 91.5, 2: 10.0})
    assert found.n == 2 and found.mean == pytest.approx(0.25)
    assert paired({0: 1.0}, {1: 1.0}) is None

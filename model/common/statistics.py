"""Mean and confidence interval over seeds: Student's t, 95 %, two-sided.

Quantiles: NIST/SEMATECH e-Handbook of statistical methods, section 1.3.6.7.2, column 0.975.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

__all__ = ["QUANTILES", "Interval", "interval", "paired"]

#: t of 0.975 for 1, 2, ... 30 degrees of freedom.
# fmt: off
QUANTILES = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)
# fmt: on


@dataclass(frozen=True)
class Interval:
    """A mean over `n` seeds and half of its 95 % interval's width: None where n = 1."""

    mean: float
    half: float | None
    n: int

    @property
    def low(self) -> float:
        """Lower end; the mean itself where n = 1."""
        return self.mean - (self.half or 0)

    @property
    def high(self) -> float:
        """Upper end; the mean itself where n = 1."""
        return self.mean + (self.half or 0)

    def text(self, sign: bool = False) -> str:
        """ "86.12 ± 0.34", or the mean alone where n = 1; `sign` writes a plus too."""
        mean = f"{self.mean:+.2f}" if sign else f"{self.mean:.2f}"
        return mean if self.half is None else f"{mean} ± {self.half:.2f}"


def interval(values: Sequence[float]) -> Interval:
    """Of independent values, one a seed. Beyond 31 values t stays at that of 31: a little wide."""
    n = len(values)
    if n == 0:
        raise ValueError("An interval needs at least one value")
    mean = sum(values) / n
    if n == 1:
        return Interval(mean, None, 1)
    variance = sum((value - mean) ** 2 for value in values) / (n - 1)
    return Interval(mean, QUANTILES[min(n - 1, len(QUANTILES)) - 1] * sqrt(variance / n), n)


def paired(values: Mapping[int, float], baseline: Mapping[int, float]) -> Interval | None:
    """Of the differences value − baseline over the seeds that both have; None without any."""
    seeds = sorted(set(values) & set(baseline))
    return interval([values[seed] - baseline[seed] for seed in seeds]) if seeds else None

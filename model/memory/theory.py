"""What retrieval errors to expect of the sparse hetero-associative memory. numpy only.

M pairs are drawn uniformly: every coordinate of every part independently. A probe is a stored x
with k = c − e − r parts right, r replaced by a wrong coordinate and e erased. The answer's part is
wrong if its first maximum of z = W x is not at the stored coordinate j*, or is 0.

*Independent weights* (`independent_error`), the formula of Gripon and Berrou (2011) with the tie
rule added: take the weights as independent, each 1 with the density d = 1 − (1 − 1/(ℓℓ'))^M. Then
z at j* is k + B(r, d), at each of the ℓ' − 1 others B(k + r, d). With S the score at j* and j*
uniform, the part is right if all before j* are below S and all after it are not above:

    P(right) = Σ_s P(S = s) · 1/ℓ' · Σ_{a=0}^{ℓ'−1} P(z < s)^a · P(z ≤ s)^(ℓ'−1−a)

For r = 0 that is (1 − (1 − q)^ℓ') / (ℓ' q) with q = d^k. The mean over j* makes "the lowest index
wins" and "a random one of the tied wins" equal; no tie is ever counted as half an answer.

*Exact* (`part_error`): the weights of one output coordinate j are not independent, they share the
number N_j of other pairs whose y has j in that part. Given all N_j, they are: each of the k + r
inputs is connected to j with probability p = 1 − (1 − 1/ℓ)^N_j, independently, since the pairs
that hit different j are different pairs. The N_j, j* included, are multinomial: M − 1 pairs, ℓ'
equal chances. So P(right) is the formula above with each factor a function of its own N_j, the mean
taken over the multinomial. That mean is a coefficient of a product of power series (Poisson counts
with a fixed sum), which one discrete Fourier transform gives. No approximation is left.

*Whole vectors* (`vector_error`): 1 − (1 − part error)^c'. The parts share the inputs of the stored
pairs, so they are not quite independent: they fail together a little more often, and fewer vectors
fail than that.
"""

from functools import lru_cache
from math import comb

import numpy as np

from model.memory.patterns import Parts

__all__ = ["density", "independent_error", "pairs_at", "part_error", "vector_error"]


def density(source: Parts, target: Parts, pairs: int) -> float:
    """Expected share of ones in W after `pairs` pairs: d = 1 − (1 − 1/(ℓℓ'))^M."""
    return float(-np.expm1(pairs * _log_miss(source.size * target.size)))


def pairs_at(source: Parts, target: Parts, share: float) -> int:
    """The number of pairs M, 1 or more, whose density is nearest to `share`."""
    if not 0 < share < 1:
        raise ValueError(f"Density must be between 0 and 1, not {share}")
    return max(1, round(float(np.log1p(-share)) / _log_miss(source.size * target.size)))


def independent_error(
    source: Parts, target: Parts, pairs: int, *, erased: int = 0, wrong: int = 0
) -> float:
    """Probability that one part is wrong, the weights taken as independent of density d."""
    right = _right_parts(source, pairs, erased, wrong)
    d = np.array([density(source, target, pairs)])
    total = 0.0
    for s in range(max(right, 1), right + wrong + 1):
        own = _binomial(wrong, d, s - right)[0]
        below, upto = _cumulated(right + wrong, d, s)
        total += own * _positions(below, upto, target.size)[0]
    return _probability(1 - total / target.size)


@lru_cache(maxsize=4096)
def part_error(
    source: Parts, target: Parts, pairs: int, *, erased: int = 0, wrong: int = 0
) -> float:
    """Probability that one part is wrong, exactly (to about 1e-12), over uniform pairs.

    Raises ``ValueError`` for no pair, or for more damage than there are parts.
    """
    right = _right_parts(source, pairs, erased, wrong)
    others = pairs - 1
    mean = others / target.size
    # Counts so far above the mean do not occur (1e-20); a longer transform wraps nothing around.
    most = min(others, int(mean + 12 * mean**0.5 + 60))
    length = 1 << (2 * others + 64).bit_length()
    counts = np.arange(most + 1)
    weight = _poisson(mean, most)
    p = -np.expm1(counts * _log_miss(source.size)) if source.size > 1 else (counts > 0) * 1.0

    def series(values):
        return np.fft.rfft(weight * values, length)

    total = np.zeros(length // 2 + 1, complex)
    for s in range(max(right, 1), right + wrong + 1):
        own = series(_binomial(wrong, p, s - right))
        below, upto = _cumulated(right + wrong, p, s)
        total += own * _positions(series(below), series(upto), target.size)
    joint = np.fft.irfft(total, length)[others]
    return _probability(1 - joint / _poisson(float(others), others)[others] / target.size)


def vector_error(
    source: Parts, target: Parts, pairs: int, *, erased: int = 0, wrong: int = 0
) -> float:
    """Probability that any part is wrong, from `part_error`, the parts taken as independent."""
    part = part_error(source, target, pairs, erased=erased, wrong=wrong)
    return float(-np.expm1(target.count * np.log1p(-part))) if part < 1 else 1.0


def _right_parts(source, pairs, erased, wrong):
    if pairs < 1:
        raise ValueError(f"Pairs must be a positive integer, not {pairs}")
    if erased < 0 or wrong < 0 or erased + wrong > source.count:
        raise ValueError(
            f"Erased and wrong parts must be 0 to {source.count} together, not {erased} and {wrong}"
        )
    if wrong and source.size == 1:
        raise ValueError("A part of one coordinate has no wrong one")
    return source.count - erased - wrong


def _log_miss(chances):
    """log(1 − 1/chances)."""
    return float(np.log1p(-1 / chances)) if chances > 1 else -np.inf


def _binomial(trials, p, value):
    """P(B(trials, p) = value) for an array of p."""
    return comb(trials, value) * p**value * (1 - p) ** (trials - value)


def _cumulated(trials, p, value):
    """P(B(trials, p) < value) and P(B(trials, p) <= value) for an array of p."""
    below = sum((_binomial(trials, p, index) for index in range(value)), np.zeros_like(p))
    return below, below + _binomial(trials, p, value)


def _positions(below, upto, size):
    """Σ_{a=0}^{ℓ'−1} below^a · upto^(ℓ'−1−a), term by term without a division."""
    total, power = np.ones_like(below), np.ones_like(upto)
    for _ in range(size - 1):
        power = power * upto
        total = total * below + power
    return total


def _poisson(mean, most):
    """P(0) … P(most) of a Poisson number."""
    if mean == 0:
        return (np.arange(most + 1) == 0) * 1.0
    counts = np.arange(most + 1)
    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
    return np.exp(counts * np.log(mean) - mean - factorial)


def _probability(value):
    return float(min(max(value, 0.0), 1.0))

"""How large the numbers of a network may be, and how large those are that it computes with them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from model.network.types import Classifier, Conv, Tensor

__all__ = [
    "BIAS_BITS",
    "FACTOR_BITS",
    "MAX_ACCUMULATOR_BITS",
    "MAX_ARRAY_BITS",
    "MAX_BITS",
    "MAX_EXPONENT",
    "MAX_SHIFT",
    "MAX_SIZE",
    "MULTIPLIER_BITS",
    "accumulator_bound",
    "signed_bits",
]

# The widest accumulator that any reader must support; a network beyond it is refused.
MAX_ACCUMULATOR_BITS = 32
MAX_ARRAY_BITS = 32
"""Of any number in an array, signed, at most."""
MAX_BITS = 8
"""Bits of a weight, of an activation and of a pixel, at most."""
MAX_SIZE = 2**16
"""Of a group at most; height, width and channels of the image are below it."""
MAX_SHIFT = 62
"""Of a requantiser, in bits."""
MAX_EXPONENT = 16
"""Of a projection: its sums are multiplied by 2 to the power of so much, at most."""

# A file may hold more. The hardware does so much unless it is built for more, and training stays
# within it.
MULTIPLIER_BITS = 16
"""Of a requantiser's multiplier, unsigned."""
BIAS_BITS = 20
"""Of a bias, signed."""
FACTOR_BITS = 12
"""Of an identity's factor, signed."""


def signed_bits(low: int, high: int) -> int:
    """Bits of the smallest two's complement number that holds `low` and `high`."""
    return 1 + max((~low if low < 0 else low).bit_length(), high.bit_length())


def accumulator_bound(layer: "Conv | Classifier", tensors: "Sequence[Tensor]") -> tuple[int, int]:
    """Worst-case (low, high) over all partial sums of `layer`, in exact integers.

    Each group contributes the weight of one winner, so its worst case is the largest (smallest)
    weight of the group times the largest value: summed in any order, bias and residual included,
    no partial sum leaves the bound.
    """
    source = tensors[layer.source]
    parts = [(layer.weights, source, 0)]
    if layer.projection is not None:
        shortcut = layer.projection
        parts.append((shortcut.weights, tensors[shortcut.source], shortcut.exponent))
    low = np.zeros(layer.channels, dtype=object)
    high = np.zeros(layer.channels, dtype=object)
    for weights, tensor, exponent in parts:
        grouped = weights.reshape(layer.channels, -1, tensor.group_size).astype(np.int64)
        scale = tensor.maximum << exponent
        if layer.kind == "classifier":
            scale *= tensor.pixels
        low += np.minimum(grouped.min(axis=2), 0).sum(axis=1).astype(object) * scale
        high += np.maximum(grouped.max(axis=2), 0).sum(axis=1).astype(object) * scale
    terms = [layer.bias.astype(object)]
    if layer.identity is not None:
        terms.append(layer.identity.factor.astype(object) * tensors[layer.identity.source].maximum)
    for term in terms:
        low += np.minimum(term, 0)
        high += np.maximum(term, 0)
    return int(min(low)), int(max(high))

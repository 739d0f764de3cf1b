"""Nearest class mean as one more classifier: what a device learns from a few images, in integers.

The features f of an image are the sums, over all pixels, of what the classifier reads; a class is
the mean m of its images' features (arXiv 2012.01509, section 5.5, as in SimpleShot, arXiv
1911.04623, without the features' scaling). The nearest mean is the smallest |f - m|^2 = |f|^2 -
2 (m f - |m|^2 / 2), and |f|^2 is the same for all classes: so it is the largest m f - |m|^2 / 2, a
linear classifier with weights m and bias -|m|^2 / 2. To make its weights fit 8 bits, all means are
divided by the same 2^e, which changes no decision.

This module is normative: the firmware computes the same, bit for bit. S are the sums of a class's
features over its n images, `//` and `>>` round down:

    M[c][i] = (16 S[c][i] + n[c] // 2) // n[c]              the mean, rounded to 1/16
    w[c][i] = (M[c][i] + (8 << e)) >> (e + 4)
    q[c] = sum over i of w[c][i]^2
    b[c] = -((q[c] << e) >> 1)

with the smallest e = 0, 1, 2, ... for which every w is at most 127, every b at least
-2^(bias_bits - 1) + 1, and for every class reach x (sum over groups of the largest w of the group)
at most 2^(accumulator_bits - 1) - 1: no partial sum then leaves the accumulator. The class is the
lowest index of the largest b[c] + sum over i of w[c][i] f[i].

What rounding can do: the bias belongs to the rounded weights, so the decision is exactly the
nearest of the means m' = 2^e w, and no m' is further than 2^(e - 1) + 1/32 from m in any feature.
So the chosen mean is never further away than the nearest one by more than
2 sqrt(features) (2^(e - 1) + 1/32), and 1 more at e = 0, where half of an odd q is dropped.

Only numpy is needed, and no floating point.
"""

from dataclasses import dataclass

import numpy as np

from model.network import Classifier

__all__ = ["NearestMean", "learn", "most_images"]

WEIGHT_BITS = 8
FRACTION_BITS = 4  # of a mean before it is scaled


@dataclass(frozen=True, kw_only=True, eq=False)
class NearestMean:
    """Learned classes as a linear classifier.

    Parameters
    ----------
    weights : ndarray
        int64 [classes, features], 0 to 127.
    bias : ndarray
        int64 [classes], 0 or less.
    exponent : int
        e: the weights are the means divided by 2^e.
    bias_bits : int
        Width that the bias was made for.
    """

    weights: np.ndarray
    bias: np.ndarray
    exponent: int
    bias_bits: int

    def logits(self, features: np.ndarray) -> np.ndarray:
        """int64 [N, classes], of features [N, features]."""
        return _integers("Features", features, 2) @ self.weights.T + self.bias

    def decide(self, features: np.ndarray) -> np.ndarray:
        """int64 [N]: the lowest index of the largest logit of each image."""
        return self.logits(features).argmax(axis=1)

    def classifier(self, like: Classifier, classes: int | None = None) -> Classifier:
        """The last layer that computes it, in place of `like`, which reads the same features.

        With `classes`, as many as a device has room for: those that are not learned have weights
        0 and the bias -2^(bias_bits - 1), below every logit of a learned one, and never win.
        """
        learned, features = self.weights.shape
        if like.weights.shape[1] != features:
            raise ValueError(
                f"The classifier reads {like.weights.shape[1]} features, learned were {features}"
            )
        room = learned if classes is None else classes
        if room < learned:
            raise ValueError(f"{learned} classes do not fit into {room}")
        weights = np.zeros((room, features), np.int64)
        bias = np.full(room, -(1 << (self.bias_bits - 1)), np.int64)
        weights[:learned], bias[:learned] = self.weights, self.bias
        return Classifier(
            name=like.name,
            source=like.source,
            weights=weights,
            weight_bits=WEIGHT_BITS,
            bias=bias,
        )


def learn(
    sums: np.ndarray,
    counts: np.ndarray,
    *,
    reach: int,
    group_size: int,
    bias_bits: int,
    accumulator_bits: int,
) -> NearestMean:
    """The classifier of classes of which so many images' features were summed.

    Parameters
    ----------
    sums : ndarray
        Integers [classes, features]: features summed over the images of each class.
    counts : ndarray
        Integers [classes]: images of each, 1 or more.
    reach : int
        Largest value of a feature.
    group_size : int
        Of the tensor that the classifier reads: at a pixel, one feature of a group is not 0.
    bias_bits, accumulator_bits : int
        Signed widths of the hardware.

    Raises
    ------
    TypeError, ValueError
        No integers; wrong shapes; sums that so many images cannot have.
    """
    sums, counts = _integers("Sums", sums, 2), _integers("Counts", counts, 1)
    classes, features = sums.shape
    if classes < 1 or len(counts) != classes:
        raise ValueError(f"Sums of {classes} classes need as many counts, not {len(counts)}")
    if group_size < 1 or features < 1 or features % group_size:
        raise ValueError(f"Groups of {group_size} do not divide {features} features")
    if reach < 1 or min(bias_bits, accumulator_bits) < 2:
        raise ValueError("Reach must be positive, and widths 2 bits or more")
    most = most_images(reach)
    if counts.min() < 1 or counts.max() > most:
        raise ValueError(f"A class must have 1 to {most} images, not {counts.tolist()}")
    if sums.min() < 0 or (sums > counts[:, None] * reach).any():
        raise ValueError(f"Sums must be 0 to {reach} an image")
    means = ((sums << FRACTION_BITS) + counts[:, None] // 2) // counts[:, None]
    exponent = 0
    while True:
        half = 1 << (FRACTION_BITS - 1) << exponent
        weights = (means + half) >> (exponent + FRACTION_BITS)
        bias = -(((weights * weights).sum(axis=1) << exponent) >> 1)
        largest = weights.reshape(classes, -1, group_size).max(axis=2).sum(axis=1) * reach
        if (
            weights.max() < 1 << (WEIGHT_BITS - 1)
            and bias.min() > -(1 << (bias_bits - 1))
            and largest.max() < 1 << (accumulator_bits - 1)
        ):
            return NearestMean(weights=weights, bias=bias, exponent=exponent, bias_bits=bias_bits)
        exponent += 1


def most_images(reach: int) -> int:
    """How many images of a class may be summed: 16 S + n // 2 then fits 32 unsigned bits."""
    return (2**32 - 1) // ((reach << FRACTION_BITS) + 1)


def _integers(what, values, dimensions):
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.integer):
        raise TypeError(f"{what} must be integers, not {values.dtype}")
    if values.ndim != dimensions:
        raise ValueError(f"{what} must have {dimensions} dimensions, not {values.ndim}")
    return values.astype(np.int64)

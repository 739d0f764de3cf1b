"""What the layers of random networks are made of: limits, the network in the making, its values.

Some values are hostile on purpose: weights all at one end, all zero, or tied within a group; biases
that saturate Q at either end; multipliers at the ends of their range.
"""

from dataclasses import dataclass, field

import numpy as np

from model.network import Identity, Projection, accumulator_bound, signed_bits

__all__ = [
    "BIASES", "REQUANTISERS", "WEIGHTS", "Build", "Limits", "draw_bias", "draw_requantiser",
    "draw_weights", "shrink",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a generated network may use: the capability of the hardware that it must fit.

    The multiplier is a fraction M / 2**s' of the hardware's shift s' (`requantise_bits`), with M
    within `multiplier`; files state it as (m, s) with m * 2**(s' - s) = M, in lowest terms,
    expanded, or as it is.
    """

    layers: int = 6  # convolutions, at most
    min_pixels: int = 4  # image height and width, each
    max_pixels: int = 12
    input_channels: int = 3
    channels: int = 40  # of a convolution
    classes: int = 12
    kernel: int = 5
    stride: int = 3
    weight_bits: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    activation_bits: int = 4
    winner_bits: int = 4  # group sizes up to 2**winner_bits
    accumulator_bits: int = 22
    bias_bits: int = 20  # signed
    multiplier: tuple[int, int] = (16, 65535)
    requantise_bits: int = 16
    factor: int = 2047  # identity residual, 0 to this
    negative_factors: bool = False  # and from minus this on
    scaled_weight_bits: int = 8  # weight bits + projection exponent, at most
    square_kernels: bool = False
    binary: bool = True  # layers that put 1 for Q > 0
    both_shortcuts: bool = True  # projection and identity on one layer
    image_shortcuts: bool = True  # projections that take the image itself
    branches: bool = True  # convolutions that take a tensor older than the previous layer's


@dataclass
class Build:
    """A network in the making: its layers, its tensors, and the records of the probe frames."""

    rng: np.random.Generator
    limits: Limits
    input_bits: int
    tensors: list
    records: list
    layers: list = field(default_factory=list)

    def chance(self, probability):
        return self.rng.random() < probability

    def between(self, low, high):
        """An integer from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, items):
        return items[self.between(0, len(items) - 1)]


def _range(bits):
    return (0, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


WEIGHTS = ("uniform",) * 6 + ("sparse", "ends", "low", "high", "zero", "tied", "tied", "single")


def draw_weights(build, shape, bits, group, kind=None):
    """Weights of `shape` ([Cout, ...]): mostly uniform, often adversarial."""
    rng = build.rng
    low, high = _range(bits)
    uniform = rng.integers(low, high + 1, shape)
    kind = kind or build.pick(WEIGHTS)
    if kind == "sparse":
        return np.where(rng.random(shape) < 0.8, 0, uniform)
    if kind == "ends":
        return np.where(rng.random(shape) < 0.5, low, high)
    if kind in ("low", "high", "zero"):
        return np.full(shape, {"low": low, "high": high, "zero": 0}[kind])
    if kind == "tied":  # the channels of an output group are equal, or nearly
        first = uniform.reshape(-1, group, *shape[1:])[:, :1]
        tied = np.repeat(first, group, axis=1).reshape(shape)
        return np.where(rng.random(shape) < build.pick((0.0, 0.02)), uniform, tied)
    if kind == "single":  # one tap for each output channel
        flat = np.zeros((shape[0], int(np.prod(shape[1:]))), np.int64)
        flat[np.arange(shape[0]), rng.integers(0, flat.shape[1], shape[0])] = high
        return flat.reshape(shape)
    return uniform


BIASES = ("centre",) * 5 + ("zero", "random", "saturate", "edge")
REQUANTISERS = ("spread",) * 6 + ("random", "ends")


def draw_bias(build, conv, total, kinds=BIASES):
    """Bias that centres S near zero, or saturates Q at one end, or both in turn."""
    rng, limits = build.rng, build.limits
    edge = 2 ** (limits.bias_bits - 1)
    spread = int(np.abs(total).max()) + 1
    flat = total.reshape(-1, total.shape[-1])
    kind = build.pick(kinds)
    if kind == "centre":
        bias = -np.median(flat, axis=0).astype(np.int64)
        bias += rng.integers(-(spread // 4) - 1, spread // 4 + 1, len(bias))
    elif kind == "random":
        bias = rng.integers(-spread, spread + 1, total.shape[-1])
    elif kind == "saturate":
        bias = np.where(rng.random(total.shape[-1]) < 0.5, -2 * spread, 2 * spread)
        bias = np.where(rng.random(total.shape[-1]) < 0.5, bias, 0)
    elif kind == "edge":
        bias = build.rng.choice([-edge, edge - 1, 0, 1, -1], total.shape[-1])
    else:
        bias = np.zeros(total.shape[-1], np.int64)
    if conv["group_size"] > 1 and build.chance(0.15):  # ties of S within a group
        bias = np.repeat(bias[:: conv["group_size"]], conv["group_size"])
    return np.clip(bias, -edge, edge - 1)


def draw_requantiser(build, conv, total, kinds=REQUANTISERS):
    """(multiplier, shift), each [Cout]: mostly so that Q spreads over 0 to its maximum."""
    rng, limits = build.rng, build.limits
    lowest, highest = limits.multiplier
    maximum = 2 ** conv["activation_bits"] - 1
    channels = total.shape[-1]
    scope = build.pick(("channel", "group", "layer"))
    if conv["order"] == "before" and scope == "channel":
        scope = "group"
    run = {"channel": 1, "group": conv["group_size"], "layer": channels}[scope]
    flat = np.maximum(total.reshape(-1, channels), 0)
    reach = np.maximum(flat.max(axis=0), 1).reshape(-1, run).max(axis=1)
    kind = build.pick(kinds)
    if kind == "spread":
        gain = rng.choice([0.5, 1.0, 1.0, 1.5, 3.0], len(reach))
        wanted = gain * maximum * 2**limits.requantise_bits / reach
    elif kind == "random":
        wanted = np.exp2(rng.uniform(np.log2(lowest), np.log2(highest), len(reach)))
    else:
        wanted = rng.choice([lowest, highest], len(reach))
    fraction = np.clip(np.rint(wanted), lowest, highest).astype(np.int64)
    multiplier, shift = np.empty_like(fraction), np.empty_like(fraction)
    form = build.pick(("plain", "lowest", "expanded", "mixed"))
    for index, value in enumerate(fraction):
        value = int(value)
        twos = min((value & -value).bit_length() - 1, limits.requantise_bits - 1)
        step = {
            "plain": 0,
            "lowest": -twos,
            "expanded": build.between(0, 8),
            "mixed": build.between(-twos, 8),
        }[form]
        multiplier[index] = value << step if step >= 0 else value >> -step
        shift[index] = limits.requantise_bits + step
    return np.repeat(multiplier, run), np.repeat(shift, run)


def shrink(build, make, values):
    """Halve bias, factor, exponent and weights until the accumulator's worst case fits."""
    while True:
        layer = make(**{k: v for k, v in values.items() if k in make.__dataclass_fields__})
        if signed_bits(*accumulator_bound(layer, build.tensors)) <= build.limits.accumulator_bits:
            return values
        values = dict(values)
        projection = values.get("projection")
        if projection is not None and projection.exponent > 0:
            values["projection"] = Projection(
                source=projection.source,
                stride=projection.stride,
                exponent=projection.exponent - 1,
                weights=projection.weights,
            )
            continue
        if values.get("identity") is not None:
            identity = values["identity"]
            values["identity"] = Identity(source=identity.source, factor=identity.factor // 2)
        values["bias"] = values["bias"] // 2
        drop = build.rng.random(values["weights"].shape) < 0.2
        values["weights"] = np.where(drop, 0, values["weights"])
        if projection is not None:
            values["projection"] = Projection(
                source=projection.source,
                stride=projection.stride,
                exponent=projection.exponent,
                weights=np.where(
                    build.rng.random(projection.weights.shape) < 0.2, 0, projection.weights
                ),
            )

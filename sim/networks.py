"""Random small networks, nasty but valid: what torch, numpy and RTL are compared on.

Only numpy is needed. A network is made from a seed and
:class:`Limits`, so that it fits a given hardware capability; the same seed and limits always give
the same network. It is built layer by layer on probe frames, so that multipliers can be chosen
to spread Q over its range, and some layers are made hostile on purpose: weights all at one end,
all zero, or tied within a group; biases that saturate Q at either end.
"""

from dataclasses import dataclass, field

import numpy as np

from model.integers import oracle
from model.network import (
    Classifier,
    Conv,
    Identity,
    Network,
    Projection,
    accumulator_bound,
    signed_bits,
    validate,
)

__all__ = [
    "Build",
    "Limits",
    "add_conv",
    "begin",
    "end",
    "geometry",
    "images_for",
    "random_network",
]

GROUP_SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 16, 32)
PROBES = 3  # frames that multipliers are chosen on


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


def random_network(seed: int, limits: Limits | None = None) -> Network:
    """The network of this `seed` (0 or more) within `limits`; always the same, always valid."""
    limits = limits or Limits()
    rng = np.random.default_rng(seed)
    shape = (
        int(rng.integers(limits.min_pixels, limits.max_pixels + 1)),
        int(rng.integers(limits.min_pixels, limits.max_pixels + 1)),
        int(rng.integers(1, limits.input_channels + 1)),
    )
    input_bits = 8 if rng.random() < 0.7 else int(rng.integers(1, 9))
    build = begin(rng, limits, shape, input_bits)
    target = build.between(1, limits.layers)
    while len(build.layers) < target:
        left = target - len(build.layers)
        kind = build.pick(("plain", "identity", "identity", "identity", "projection", "projection"))
        if left == 1 or kind == "plain" or (kind == "identity" and not build.layers):
            _plain(build)
        elif kind == "identity":
            _identity_block(build, min(left, 3))
        else:
            _projection_block(build, min(left, 3))
    return end(build, f"random-{seed}", seed=seed)


def begin(
    rng: np.random.Generator, limits: Limits, shape: tuple[int, int, int], input_bits: int
) -> Build:
    """A network that has its input, [height, width, channels] of so many bits, and nothing else."""
    probes = _images(rng, shape, input_bits, PROBES)
    nothing = Network(
        name="nothing", input_shape=shape, input_bits=input_bits, layers=(), classes=()
    )
    image = nothing.tensors[0]
    first = oracle.Records(probes, np.zeros_like(probes))
    return Build(rng, limits, input_bits, [image], [first])


def end(
    build: Build,
    name: str,
    *,
    classes: int | None = None,
    weights: str | None = None,
    **metadata,
) -> Network:
    """The network, with a classifier of so many classes and this kind of weights (both drawn by
    default). It is valid."""
    classifier = _classifier(build, classes, weights)
    image = build.tensors[0]
    network = Network(
        name=name,
        input_shape=(image.height, image.width, image.channels),
        input_bits=build.input_bits,
        layers=(*build.layers, classifier),
        classes=tuple(f"class {index}" for index in range(classifier.channels)),
        metadata=metadata,
    )
    validate(network)
    return network


def images_for(network: Network, seed: int, count: int = 4) -> np.ndarray:
    """`count` frames [N, H, W, C] uint8: noise, sparse, one saturated, one black, and mixtures."""
    rng = np.random.default_rng([seed, 0x1A6E])
    images = _images(rng, network.input_shape, network.input_bits, count)
    return images.astype(np.uint8)


def _images(rng, shape, bits, count):
    top = 2**bits - 1
    frames = []
    for index in range(count):
        noise = rng.integers(0, top + 1, shape)
        kind = (index + int(rng.integers(0, 2))) % 5
        if kind == 1:
            noise = np.where(rng.random(shape) < 0.8, 0, noise)
        elif kind == 2:
            noise = np.full(shape, top)
        elif kind == 3:
            noise = np.zeros(shape, np.int64)
        elif kind == 4:
            noise = np.where(noise > top // 2, top, 0)
        frames.append(noise)
    return np.stack(frames).astype(np.int64).reshape(count, *shape)


# --- structure ----------------------------------------------------------------------------------


def _plain(build, **shape):
    """A convolution of the latest tensor, or of an older one, with whatever shortcuts fit."""
    source = len(build.tensors) - 1
    if build.limits.branches and not shape and build.chance(0.1):
        source = build.between(0, source)
    place = _geometry(build, source)
    identity = projection = None
    if build.chance(0.15):
        identity = _identity_source(build, source, place)
    if build.chance(0.15) and (identity is None or build.limits.both_shortcuts):
        projection = _projection_source(build, place)
    return add_conv(build, source, place, identity=identity, projection=projection, **shape)


def _identity_block(build, most):
    """Two or more convolutions that keep the shape, the last with the block's input added."""
    entry = len(build.tensors) - 1
    tensor = build.tensors[entry]
    depth = build.between(2, most)
    for index in range(depth):
        last = index == depth - 1
        source = len(build.tensors) - 1
        add_conv(
            build,
            source,
            _geometry(build, source, same=True),
            channels=tensor.channels if last else None,
            identity=entry if last else None,
        )


def _projection_block(build, most):
    """Two or more convolutions, the last with a projection of the block's input."""
    entry = len(build.tensors) - 1
    depth = build.between(2, most)
    for index in range(depth):
        last = index == depth - 1
        source = len(build.tensors) - 1
        geometry = _geometry(build, source, same=build.chance(0.5))
        projection = identity = None
        if last:
            projection = _projection_source(build, geometry, entry)
            if build.limits.both_shortcuts and build.chance(0.2):
                identity = _identity_source(build, source, geometry)
        add_conv(build, source, geometry, projection=projection, identity=identity)


def _geometry(build, source, same=False):
    """(kernel height, kernel width, stride, padding, height, width) that fit the source."""
    limits, tensor = build.limits, build.tensors[source]
    stride = 1 if same else build.pick((1, 1, 2, build.between(1, limits.stride)))
    stride = min(stride, limits.stride)
    kernel_height = build.pick((1, 3, 3, build.between(1, limits.kernel)))
    kernel_width = build.pick((kernel_height, build.between(1, limits.kernel)))
    if limits.square_kernels:
        kernel_width = kernel_height
    kernel_height, kernel_width = (
        min(kernel, limits.kernel) for kernel in (kernel_height, kernel_width)
    )

    def pad(size, kernel):
        if same:
            before = build.between(0, kernel - 1)
            return before, kernel - 1 - before
        before, after = build.between(0, kernel - 1), build.between(0, kernel - 1)
        while size + before + after < kernel:
            before, after = min(before + 1, kernel - 1), min(after + 1, kernel - 1)
        return before, after

    top, bottom = pad(tensor.height, kernel_height)
    left, right = pad(tensor.width, kernel_width)
    return geometry(tensor, (kernel_height, kernel_width), stride, (top, bottom, left, right))


def _identity_source(build, source, geometry):
    """An earlier tensor of the output's grid, but neither the image nor the source; or None."""
    fitting = [
        index
        for index in range(1, len(build.tensors))
        if index != source
        and (build.tensors[index].height, build.tensors[index].width) == geometry[4:]
    ]
    return build.pick(fitting) if fitting else None


def _projection_source(build, geometry, entry=None):
    """(tensor index, stride) of a projection that stays within its tensor; or None."""
    first = 0 if build.limits.image_shortcuts else 1
    indices = (
        range(first, len(build.tensors)) if entry is None else range(max(entry, first), entry + 1)
    )
    height, width = geometry[4:]
    fitting = [
        (index, stride)
        for index in indices
        for stride in range(1, build.limits.stride + 1)
        if (height - 1) * stride < build.tensors[index].height
        and (width - 1) * stride < build.tensors[index].width
    ]
    return build.pick(fitting) if fitting else None


# --- numbers ------------------------------------------------------------------------------------


def geometry(tensor, kernel, stride, padding):
    """Of a convolution of `tensor`: kernel height and width, stride, padding, height and width."""
    top, bottom, left, right = padding
    height = (tensor.height + top + bottom - kernel[0]) // stride + 1
    width = (tensor.width + left + right - kernel[1]) // stride + 1
    return *kernel, stride, padding, height, width


def add_conv(build, source, geometry, channels=None, identity=None, projection=None, chosen=None):
    """Add a convolution; what `chosen` does not say is drawn.

    Parameters
    ----------
    source : int
        Tensor that it reads.
    geometry : tuple
        As `geometry` gives it.
    channels : int
        Of its output.
    identity : int
        Tensor that is added.
    projection : (int, int)
        Tensor that is projected, and the projection's stride.
    chosen : dict
        Values of `Conv`'s fields group_size, order, weight_bits, activation_bits and binary;
        `exponent` of the projection, `factor` of the residual; `requantiser`, one of
        `REQUANTISERS`, `bias`, one of `BIASES`, and `weights`, one of `WEIGHTS`.
    """
    chosen = chosen or {}
    limits, rng = build.limits, build.rng
    kernel_height, kernel_width, stride, padding, _, _ = geometry
    if identity is not None:
        channels = build.tensors[identity].channels
    largest = min(limits.channels, channels or limits.channels, 2**limits.winner_bits)
    sizes = [n for n in GROUP_SIZES if n <= largest and (channels is None or channels % n == 0)]
    group = chosen.get("group_size") or build.pick(sizes)
    if channels is None:
        channels = group * build.between(1, max(1, limits.channels // group))
    order = build.pick(("after", "after", "before"))
    bits = chosen.get("weight_bits") or build.pick(limits.weight_bits)
    inputs = build.tensors[source].channels
    kind = chosen.get("weights")
    conv = {
        "name": f"conv{len(build.layers)}",
        "source": source,
        "weights": _weights(
            build, (channels, kernel_height, kernel_width, inputs), bits, group, kind
        ),
        "weight_bits": bits,
        "stride": stride,
        "padding": padding,
        "bias": np.zeros(channels, np.int64),
        "multiplier": np.ones(channels, np.int64),
        "shift": np.ones(channels, np.int64),
        "group_size": group,
        "activation_bits": build.pick(
            (limits.activation_bits, build.between(1, limits.activation_bits))
        ),
        "order": order,
        "binary": limits.binary and build.chance(0.1),
    }
    named = ("order", "binary", "activation_bits")
    conv |= {name: chosen[name] for name in named if name in chosen}
    if projection is not None:
        taken, step = projection
        width = build.tensors[taken].channels
        conv["projection"] = Projection(
            source=taken,
            stride=step,
            exponent=chosen.get(
                "exponent", build.between(0, max(0, min(4, limits.scaled_weight_bits - bits)))
            ),
            weights=_weights(build, (channels, width), bits, group),
        )
    if identity is not None:
        largest = build.pick((limits.factor, 64, 8))
        largest = min(largest, limits.factor)
        factor = rng.integers(-largest * limits.negative_factors, largest + 1, channels)
        if build.chance(0.3):
            factor[:] = factor[0]
        conv["identity"] = Identity(source=identity, factor=chosen.get("factor", factor))
    conv = _shrink(build, Conv, conv)
    total = oracle.accumulate(Conv(**conv), build.records)
    conv["bias"] = _bias(build, conv, total, (chosen["bias"],) if "bias" in chosen else BIASES)
    conv = _shrink(build, Conv, conv)
    total = oracle.accumulate(Conv(**conv), build.records)
    kinds = (chosen["requantiser"],) if "requantiser" in chosen else REQUANTISERS
    conv["multiplier"], conv["shift"] = _requantiser(build, conv, total, kinds)
    records = oracle.convolve(Conv(**conv), build.records)
    if records.value.min() == records.value.max() and build.chance(0.8):
        # A constant output would leave the layers behind it untested: spread it after all.
        conv["bias"] = _bias(build, conv, total - conv["bias"], ("centre",))
        conv = _shrink(build, Conv, conv)
        total = oracle.accumulate(Conv(**conv), build.records)
        conv["multiplier"], conv["shift"] = _requantiser(build, conv, total, ("spread",))
        records = oracle.convolve(Conv(**conv), build.records)
    layer = Conv(**conv)
    build.layers.append(layer)
    build.records.append(records)
    build.tensors.append(layer.output(build.tensors[source]))


def _classifier(build, classes=None, kind=None):
    source = len(build.tensors) - 1
    classes = classes or build.between(2, build.limits.classes)
    bits = build.pick(build.limits.weight_bits)
    shape = (classes, build.tensors[source].channels)
    edge = 2 ** (build.limits.bias_bits - 1)
    reach = build.pick((0, 10, 1000))
    layer = {
        "name": "classifier",
        "source": source,
        "weights": _weights(build, shape, bits, 1, kind),
        "weight_bits": bits,
        "bias": build.rng.integers(-min(reach, edge), min(reach, edge - 1) + 1, classes),
    }
    return Classifier(**_shrink(build, Classifier, layer))


def _range(bits):
    return (0, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


WEIGHTS = ("uniform",) * 6 + ("sparse", "ends", "low", "high", "zero", "tied", "tied", "single")


def _weights(build, shape, bits, group, kind=None):
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


def _bias(build, conv, total, kinds=BIASES):
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


def _requantiser(build, conv, total, kinds=REQUANTISERS):
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


def _shrink(build, make, values):
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

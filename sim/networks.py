"""Random small networks, nasty but valid: what torch, numpy and RTL are compared on.

Only numpy is needed. A network is made from a seed and
:class:`Limits`, so that it fits a given hardware capability; the same seed and limits always give
the same network. It is built layer by layer on probe frames, so that multipliers can be chosen
to spread Q over its range, and some layers are made hostile on purpose: weights all at one end,
all zero, or tied within a group; biases that saturate Q at either end.
"""

import numpy as np

from model.integers import oracle
from model.network import Classifier, Conv, Identity, Network, Projection, validate
from sim.layer_values import (
    BIASES,
    REQUANTISERS,
    Build,
    Limits,
    draw_bias,
    draw_requantiser,
    draw_weights,
    shrink,
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
        "weights": draw_weights(
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
            weights=draw_weights(build, (channels, width), bits, group),
        )
    if identity is not None:
        largest = build.pick((limits.factor, 64, 8))
        largest = min(largest, limits.factor)
        factor = rng.integers(-largest * limits.negative_factors, largest + 1, channels)
        if build.chance(0.3):
            factor[:] = factor[0]
        conv["identity"] = Identity(source=identity, factor=chosen.get("factor", factor))
    conv = shrink(build, Conv, conv)
    total = oracle.accumulate(Conv(**conv), build.records)
    conv["bias"] = draw_bias(build, conv, total, (chosen["bias"],) if "bias" in chosen else BIASES)
    conv = shrink(build, Conv, conv)
    total = oracle.accumulate(Conv(**conv), build.records)
    kinds = (chosen["requantiser"],) if "requantiser" in chosen else REQUANTISERS
    conv["multiplier"], conv["shift"] = draw_requantiser(build, conv, total, kinds)
    records = oracle.convolve(Conv(**conv), build.records)
    if records.value.min() == records.value.max() and build.chance(0.8):
        # A constant output would leave the layers behind it untested: spread it after all.
        conv["bias"] = draw_bias(build, conv, total - conv["bias"], ("centre",))
        conv = shrink(build, Conv, conv)
        total = oracle.accumulate(Conv(**conv), build.records)
        conv["multiplier"], conv["shift"] = draw_requantiser(build, conv, total, ("spread",))
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
        "weights": draw_weights(build, shape, bits, 1, kind),
        "weight_bits": bits,
        "bias": build.rng.integers(-min(reach, edge), min(reach, edge - 1) + 1, classes),
    }
    return Classifier(**shrink(build, Classifier, layer))

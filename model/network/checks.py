"""Whether a network is sound: every check, with a message that names the layer."""

import json
import re
from typing import Any

import numpy as np

from model.common.errors import UserError
from model.network.limits import (
    MAX_ACCUMULATOR_BITS,
    MAX_ARRAY_BITS,
    MAX_BITS,
    MAX_EXPONENT,
    MAX_SHIFT,
    MAX_SIZE,
    accumulator_bound,
    signed_bits,
)
from model.network.types import Network, image

__all__ = ["NetworkError", "check", "natural", "positive", "validate"]

ORDERS = ("after", "before")


class NetworkError(UserError):
    """A network, or a network file, that is not sound. The text says which check failed."""


def validate(network: Network) -> None:
    """Check `network` in full; raises :class:`NetworkError` that names the layer and the check."""
    check(bool(network.name) and isinstance(network.name, str), "Network needs a name")
    shape = network.input_shape
    check(
        len(shape) == 3 and all(positive(n) and n < MAX_SIZE for n in shape),
        f"Input shape must be three positive integers (height, width, channels) "
        f"below {MAX_SIZE}, not {shape!r}",
    )
    check(
        positive(network.input_bits) and network.input_bits <= MAX_BITS,
        f"Input bits must be 1 to {MAX_BITS}, not {network.input_bits!r}",
    )
    check(
        len(network.layers) >= 2
        and all(layer.kind == "conv" for layer in network.convs)
        and network.classifier.kind == "classifier",
        "Network must be one or more convolutions and, last, one classifier",
    )
    tensors = _validate_layers(network)
    check(
        len(network.classes) == network.classifier.channels
        and all(isinstance(name, str) for name in network.classes),
        f"Classifier has {network.classifier.channels} outputs, "
        f"but {len(network.classes)} class names are given",
    )
    names = [layer.name for layer in network.layers]
    for index, name in enumerate(names):
        check(name not in names[:index], f"Layer {index}: the name {name!r} is taken")
    for index, layer in enumerate(network.layers):
        bits = signed_bits(*accumulator_bound(layer, tensors))
        check(
            bits <= MAX_ACCUMULATOR_BITS,
            f"Layer {index} ({layer.name}): accumulator needs {bits} bits, "
            f"at most {MAX_ACCUMULATOR_BITS} are allowed",
        )
    try:
        json.dumps(network.metadata, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise NetworkError(f"Metadata cannot be written as JSON: {error}") from None
    check(isinstance(network.metadata, dict), "Metadata must be an object")
    if network.golden is not None:
        _validate_golden(network)


def check(condition: bool, text: str) -> None:
    """Raise :class:`NetworkError` with `text` unless `condition`."""
    if not condition:
        raise NetworkError(text)


def natural(value: Any) -> bool:
    """Whether `value` is an integer of 0 or more; a bool is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def positive(value: Any) -> bool:
    """Whether `value` is an integer of 1 or more; a bool is none."""
    return natural(value) and value > 0


def _validate_layers(network):
    tensors = [image(network)]
    for index, layer in enumerate(network.layers):
        check(
            isinstance(layer.name, str) and bool(layer.name),
            f"Layer {index} needs a name, not {layer.name!r}",
        )
        try:
            _validate_layer(layer, tensors)
        except NetworkError as error:
            raise NetworkError(f"Layer {index} ({layer.name}): {error}") from None
        if layer.kind == "conv":
            tensors.append(layer.output(tensors[layer.source]))
    return tensors


def _validate_layer(layer, tensors):
    conv = layer.kind == "conv"
    _validate_array("weights", layer.weights, 4 if conv else 2)
    check(
        positive(layer.weight_bits) and layer.weight_bits <= MAX_BITS,
        f"weight bits must be 1 to {MAX_BITS}, not {layer.weight_bits!r}",
    )
    _validate_weights("weights", layer.weights, layer.weight_bits)
    source = _source("source", layer.source, tensors)
    check(
        layer.weights.shape[-1] == source.channels,
        f"weights take {layer.weights.shape[-1]} input channels, "
        f"but tensor {layer.source} has {source.channels}",
    )
    _validate_array("bias", layer.bias, 1, length=layer.channels)
    if conv:
        _validate_conv(layer, source, tensors)


def _validate_conv(layer, source, tensors):
    check(positive(layer.stride), f"stride must be a positive integer, not {layer.stride!r}")
    check(
        len(layer.padding) == 4 and all(natural(n) for n in layer.padding),
        f"padding must be four integers of 0 or more, not {layer.padding!r}",
    )
    top, bottom, left, right = layer.padding
    kernel_height, kernel_width = layer.weights.shape[1:3]
    check(
        max(top, bottom) < kernel_height and max(left, right) < kernel_width,
        f"padding {layer.padding} must be smaller than the kernel {kernel_height}x{kernel_width}",
    )
    check(
        source.height + top + bottom >= kernel_height
        and source.width + left + right >= kernel_width,
        f"kernel {kernel_height}x{kernel_width} is larger than the padded input "
        f"{source.height + top + bottom}x{source.width + left + right}",
    )
    check(
        positive(layer.group_size),
        f"group size must be a positive integer, not {layer.group_size!r}",
    )
    check(
        layer.group_size <= MAX_SIZE,
        f"group size must be at most {MAX_SIZE}, not {layer.group_size}",
    )
    check(
        layer.channels % layer.group_size == 0,
        f"group size {layer.group_size} does not divide the {layer.channels} channels",
    )
    check(
        positive(layer.activation_bits) and layer.activation_bits <= MAX_BITS,
        f"activation bits must be 1 to {MAX_BITS}, not {layer.activation_bits!r}",
    )
    check(layer.order in ORDERS, f"order must be 'after' or 'before', not {layer.order!r}")
    check(isinstance(layer.binary, bool), f"binary must be true or false, not {layer.binary!r}")
    for name in ("multiplier", "shift"):
        array = getattr(layer, name)
        _validate_array(name, array, 1, length=layer.channels)
        check(int(array.min()) >= 1, f"{name} must be 1 or more, not {int(array.min())}")
    check(
        int(layer.shift.max()) <= MAX_SHIFT,
        f"shift must be at most {MAX_SHIFT}, not {int(layer.shift.max())}",
    )
    if layer.order == "before":
        for name in ("multiplier", "shift"):
            groups = getattr(layer, name).reshape(-1, layer.group_size)
            check(
                bool((groups == groups[:, :1]).all()),
                f"order 'before' needs one {name} for each group, but they differ within a group",
            )
    output = layer.output(source)
    if layer.projection is not None:
        _validate_projection(layer, output, tensors)
    if layer.identity is not None:
        _validate_array("identity factor", layer.identity.factor, 1, length=layer.channels)
        residual = _source("identity", layer.identity.source, tensors)
        check(layer.identity.source > 0, "identity cannot take the image")
        expected = (output.height, output.width, output.channels)
        actual = (residual.height, residual.width, residual.channels)
        check(actual == expected, f"identity tensor is {actual}, the output is {expected}")


def _validate_projection(layer, output, tensors):
    shortcut = layer.projection
    _validate_array("projection weights", shortcut.weights, 2, length=layer.channels)
    _validate_weights("projection weights", shortcut.weights, layer.weight_bits)
    tensor = _source("projection", shortcut.source, tensors)
    check(
        shortcut.weights.shape[1] == tensor.channels,
        f"projection takes {shortcut.weights.shape[1]} channels, "
        f"but tensor {shortcut.source} has {tensor.channels}",
    )
    check(
        positive(shortcut.stride),
        f"projection stride must be a positive integer, not {shortcut.stride!r}",
    )
    check(
        natural(shortcut.exponent) and shortcut.exponent <= MAX_EXPONENT,
        f"projection exponent must be 0 to {MAX_EXPONENT}, not {shortcut.exponent!r}",
    )
    for axis in ("height", "width"):
        last = (getattr(output, axis) - 1) * shortcut.stride
        check(
            last < getattr(tensor, axis),
            f"projection of stride {shortcut.stride} leaves its tensor's {axis} "
            f"({last} >= {getattr(tensor, axis)})",
        )


def _source(what, index, tensors):
    check(
        natural(index) and index < len(tensors),
        f"{what} tensor must be 0 to {len(tensors) - 1} (an earlier one), not {index!r}",
    )
    return tensors[index]


def _validate_array(name, array, dimensions, length=None):
    check(
        isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.integer),
        f"{name} must be an integer array",
    )
    check(
        array.ndim == dimensions and array.size > 0,
        f"{name} must have {dimensions} dimensions and not be empty, not shape {array.shape}",
    )
    if length is not None:
        check(array.shape[0] == length, f"{name} must have {length} entries, not {array.shape[0]}")
    reach = 2 ** (MAX_ARRAY_BITS - 1)
    check(
        -reach <= int(array.min()) and int(array.max()) < reach,
        f"{name} leaves {MAX_ARRAY_BITS} signed bits",
    )


def _validate_weights(name, weights, bits):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if bits == 1:  # binary memories: weights 0 and 1
        low, high = 0, 1
    check(
        low <= int(weights.min()) and int(weights.max()) <= high,
        f"{name} must be {low} to {high} ({bits} bits), "
        f"not {int(weights.min())} to {int(weights.max())}",
    )


def _validate_golden(network: Network) -> None:
    golden = network.golden
    assert golden is not None
    _validate_array("golden images", golden.images, 4)
    check(
        golden.images.dtype == np.uint8 and golden.images.shape[1:] == tuple(network.input_shape),
        f"golden images must be uint8 of shape (N, {', '.join(map(str, network.input_shape))}), "
        f"not {golden.images.dtype} {golden.images.shape}",
    )
    count = len(golden.images)
    check(
        int(golden.images.max()) < 2**network.input_bits,
        f"golden images leave {network.input_bits} bits",
    )
    _validate_array("golden logits", golden.logits, 2)
    check(
        golden.logits.shape == (count, len(network.classes)),
        f"golden logits must be {(count, len(network.classes))}, not {golden.logits.shape}",
    )
    check(
        len(golden.digests) == count
        and all(len(frame) == len(network.convs) for frame in golden.digests),
        f"golden digests must be {count} frames of {len(network.convs)} layers",
    )
    check(
        all(
            isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)
            for frame in golden.digests
            for digest in frame
        ),
        "golden digests must be SHA-256 in 64 lowercase hexadecimal digits",
    )

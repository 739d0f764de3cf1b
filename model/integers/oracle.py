"""Numpy oracle: the integer semantics written as plainly as possible (``docs/arithmetic.md``).

It is slow on purpose (no trick, one statement a rule) and shares no code with the torch reference
nor with the hardware: both are tested against it. Exact 64-bit integers throughout.
"""

from dataclasses import dataclass

import numpy as np

__all__ = [
    "Records",
    "Result",
    "accumulate",
    "convolve",
    "expand",
    "requantise",
    "run",
    "winner_takes_all",
]


@dataclass(frozen=True)
class Records:
    """One grouped tensor of N frames: ``value`` and ``winner``, each [N, H, W, G] int64."""

    value: np.ndarray
    winner: np.ndarray


@dataclass(frozen=True)
class Result:
    """Every convolution's records, the logits [N, classes], the class of each frame [N]."""

    records: tuple[Records, ...]
    logits: np.ndarray
    decisions: np.ndarray


def run(network, images):
    """Run `images` [N, H, W, C] uint8 through `network`; returns a :class:`Result`."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1:] != tuple(network.input_shape):
        raise ValueError(f"Images must be [N, {network.input_shape}], not {images.shape}")
    value = images.astype(np.int64)
    tensors = [Records(value, np.zeros_like(value))]
    for layer in network.convs:
        tensors.append(convolve(layer, tensors))
    logits = _classify(network.classifier, tensors)
    return Result(tuple(tensors[1:]), logits, logits.argmax(axis=1))


def expand(records, group_size):
    """The dense tensor [N, H, W, G * group_size] behind `records`: zero but at the winners."""
    index = np.arange(group_size)
    dense = np.where(records.winner[..., None] == index, records.value[..., None], 0)
    return dense.reshape(*records.value.shape[:-1], -1)


def _dense(tensors, source, channels):
    records = tensors[source]
    return expand(records, channels // records.value.shape[-1])


def accumulate(layer, tensors):
    """S[o] of a convolution: taps, projection, bias and identity residual; [N, H, W, Cout]."""
    weights = layer.weights.astype(np.int64)
    channels, kernel_height, kernel_width, inputs = weights.shape
    top, bottom, left, right = layer.padding
    source = _dense(tensors, layer.source, inputs)
    padded = np.pad(source, ((0, 0), (top, bottom), (left, right), (0, 0)))
    height = (padded.shape[1] - kernel_height) // layer.stride + 1
    width = (padded.shape[2] - kernel_width) // layer.stride + 1
    total = np.zeros((len(source), height, width, channels), np.int64)
    for ky in range(kernel_height):
        for kx in range(kernel_width):
            rows = slice(ky, ky + (height - 1) * layer.stride + 1, layer.stride)
            columns = slice(kx, kx + (width - 1) * layer.stride + 1, layer.stride)
            total += padded[:, rows, columns, :] @ weights[:, ky, kx, :].T
    if layer.projection is not None:
        shortcut = layer.projection
        source = _dense(tensors, shortcut.source, shortcut.weights.shape[1])
        picked = source[:, :: shortcut.stride, :: shortcut.stride, :][:, :height, :width, :]
        total += (picked @ shortcut.weights.astype(np.int64).T) << shortcut.exponent
    total += layer.bias.astype(np.int64)
    if layer.identity is not None:
        residual = _dense(tensors, layer.identity.source, channels)
        total += layer.identity.factor.astype(np.int64) * residual
    return total


def requantise(total, multiplier, shift, bits):
    """Q = clamp((S * m + 2^(s-1)) >> s, 0, 2^bits - 1), per channel (last axis)."""
    multiplier = np.asarray(multiplier, np.int64)
    shift = np.asarray(shift, np.int64)
    half = np.int64(1) << (shift - 1)
    return np.clip((total * multiplier + half) >> shift, 0, 2**bits - 1)


def winner_takes_all(key, value, group_size):
    """Records of the first maximum of `key` in each group: its `value`, its index in the group.

    `key` and `value` are [..., channels]; a record of value 0 has winner 0.
    """
    keys = key.reshape(*key.shape[:-1], -1, group_size)
    values = value.reshape(keys.shape)
    winner = keys.argmax(axis=-1)  # numpy's argmax is the first maximum
    value = np.take_along_axis(values, winner[..., None], axis=-1)[..., 0]
    return Records(value, np.where(value > 0, winner, 0))


def convolve(layer, tensors):
    """Records of one convolution; `tensors` are the records of the image and earlier layers."""
    total = accumulate(layer, tensors)
    quantised = requantise(total, layer.multiplier, layer.shift, layer.activation_bits)
    key = total if layer.order == "before" else quantised
    if layer.binary:
        quantised = (quantised > 0).astype(np.int64)
    return winner_takes_all(key, quantised, layer.group_size)


def _classify(layer, tensors):
    source = _dense(tensors, layer.source, layer.weights.shape[1])
    return source.sum(axis=(1, 2)) @ layer.weights.astype(np.int64).T + layer.bias.astype(np.int64)

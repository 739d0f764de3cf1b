"""Weights and parameters as a host loads them.

A weight word holds one slice of `SLICE_BITS` for each of the P lanes. Words follow one another in
the order in which the hardware reads them: tile, kernel row, kernel column, input channel; then the
input channels of the projection.
"""

from math import ceil

import numpy as np

from hw.capability import SLICE_BITS, Capability
from hw.parameter_word import pack_parameters
from model.network import Classifier, Conv, Tensor

__all__ = [
    "bus_words",
    "multipliers",
    "overlapped",
    "parameter_words",
    "pixel_words",
    "slices_of",
    "tiles_of",
    "weight_words",
]

_BUS_BITS = 32


def slices_of(layer: Conv | Classifier) -> int:
    """Lanes that one output channel takes: 1 or 2."""
    return 1 if layer.weight_bits <= SLICE_BITS else 2


def tiles_of(layer: Conv | Classifier, capability: Capability) -> tuple[int, int]:
    """Tiles that the output's channels take, and channels of a full tile."""
    per_tile = capability.lanes // slices_of(layer)
    return ceil(layer.channels / per_tile), per_tile


def pixel_words(tensor: Tensor, capability: Capability) -> int:
    """Words of activation memory that a pixel of the tensor takes."""
    return ceil(tensor.groups / capability.records_per_word)


def multipliers(layer: Conv, capability: Capability) -> list[int] | None:
    """The multipliers for the hardware's fixed shift, or None if one is no integer."""
    found = []
    for multiplier, shift in zip(layer.multiplier.tolist(), layer.shift.tolist(), strict=True):
        scaled = multiplier << capability.requantise_bits
        if scaled % (1 << shift):
            return None
        found.append(scaled >> shift)
    return found


def weight_words(layer: Conv | Classifier, capability: Capability) -> np.ndarray:
    """The layer's weight words as int64 [words, lanes] slices."""
    taps = layer.weights.reshape(layer.channels, -1)
    if layer.projection is not None:
        taps = np.concatenate([taps, layer.projection.weights], axis=1)
    slices = slices_of(layer)
    tiles, per_tile = tiles_of(layer, capability)
    padded = np.zeros((tiles * per_tile, taps.shape[1]), np.int64)
    padded[: layer.channels] = taps
    # Two's complement slices, low first, of each channel in neighbouring lanes.
    parts = [(padded >> (SLICE_BITS * number)) & (2**SLICE_BITS - 1) for number in range(slices)]
    lanes = np.stack(parts, axis=1).reshape(tiles, per_tile * slices, -1)
    return lanes.transpose(0, 2, 1).reshape(-1, per_tile * slices)


def overlapped(words: np.ndarray, channels: int, step: int | None) -> np.ndarray:
    """Weight words whose tiles begin `step` words apart; None: as they are.

    `words` are those of `weight_words`, a tile of `channels` words after the other.

    Raises `ValueError` if tiles differ where they overlap.
    """
    if step is None:
        return words
    tiles = words.reshape(-1, channels, words.shape[1])
    found = np.zeros((channels + (len(tiles) - 1) * step, words.shape[1]), words.dtype)
    for number, tile in enumerate(tiles):
        found[number * step : number * step + channels] = tile
    for number, tile in enumerate(tiles):
        if (found[number * step : number * step + channels] != tile).any():
            raise ValueError(f"Tiles of the classifier differ where they overlap, {step} words on")
    return found


def bus_words(slices: np.ndarray, capability: Capability) -> np.ndarray:
    """uint32 bus words, lowest lanes first, of weight words given as [words, lanes] slices."""
    per_word = _BUS_BITS // SLICE_BITS
    parts = slices.reshape(-1, capability.lanes // per_word, per_word).astype(np.uint32)
    shifts = np.arange(per_word, dtype=np.uint32) * SLICE_BITS
    return (parts << shifts).sum(axis=2, dtype=np.uint32).reshape(-1)


def parameter_words(layer: Conv | Classifier, capability: Capability) -> np.ndarray:
    """uint32 bus words, two a channel, the low one first: its ``hw.parameter_word``.

    Raises `ValueError` if a value leaves its field: a layer that was not checked.
    """
    scaled = multipliers(layer, capability) if layer.kind == "conv" else None
    factors = layer.identity.factor.tolist() if layer.identity is not None else None
    found = []
    for channel, bias in enumerate(layer.bias.tolist()):
        word = pack_parameters(
            capability,
            multiplier=scaled[channel] if scaled else 0,
            bias=bias,
            factor=factors[channel] if factors else 0,
        )
        found += [word & (1 << _BUS_BITS) - 1, word >> _BUS_BITS]
    return np.array(found, np.uint32)

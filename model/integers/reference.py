"""The integer reference in PyTorch: what training promises and every implementation must equal.

The arithmetic is that of ``docs/arithmetic.md``, over whole batches: records are expanded to
dense tensors, and each convolution is one call of torch. It shares no code with
``model.integers.oracle``; tests compare the two bit for bit.

Why floating point is exact here: products and partial sums are integers, and the accumulator's
worst case, in whatever order it is summed, is known from the actual weights
(`accumulator_bound`). Below 2^24 float32 holds each of them exactly, below 2^53 float64. Only
algorithms that add plain products may be used, so oneDNN and NNPACK (Winograd, FFT, bfloat16) are
off inside this module; what is left is an im2col and a matrix product.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from model.common.lazy import torch, without_gradients
from model.network import Classifier, Conv, Network, accumulator_bound

__all__ = ["Records", "Reference", "Result", "logits", "run"]

BATCH = 50  # frames at once: measured fastest on one core, for a ResNet-8


@dataclass(frozen=True)
class Records:
    """One convolution's records of N frames: ``value`` and ``winner``, each [N, H, W, G] int64."""

    value: np.ndarray
    winner: np.ndarray


@dataclass(frozen=True)
class Result:
    """Every convolution's records, the logits [N, classes] int64, each frame's class [N]."""

    records: tuple[Records, ...]
    logits: np.ndarray
    decisions: np.ndarray


class Reference:
    """An integer network, ready to run batches.

    Parameters
    ----------
    network : Network
        A validated network; its weights are copied into torch tensors once, here.
    """

    def __init__(self, network: Network):
        self.network = network
        self._tensors = network.tensors
        self._layers = [_prepare(layer, self._tensors) for layer in network.layers]

    def __call__(self, images: np.ndarray) -> Result:
        """Run one batch of `images` [N, H, W, C] uint8; everything is kept."""
        dense, kept = self._forward(images, keep=True)
        return Result(tuple(kept), dense, _lowest_maximum(dense))

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits [N, classes] int64 of one batch of `images` [N, H, W, C] uint8."""
        return self._forward(images, keep=False)[0]

    @without_gradients
    def _forward(self, images, keep):
        images = np.asarray(images)
        expected = tuple(self.network.input_shape)
        if images.ndim != 4 or images.shape[1:] != expected or images.dtype != np.uint8:
            raise ValueError(
                f"Images must be uint8 [N, {', '.join(map(str, expected))}], "
                f"not {images.dtype} {list(images.shape)}"
            )
        # Dense tensors [N, C, H, W] float32: zero but at each group's winner.
        dense = [torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2).contiguous()]
        kept = []
        with _plain_products():
            for layer, prepared in zip(self.network.convs, self._layers, strict=False):
                value, winner = _convolve(layer, prepared, dense)
                dense.append(_expand(value, winner, layer.group_size))
                if keep:
                    kept.append(Records(_array(value), _array(winner)))
            last = self._layers[-1]
            pooled = dense[self.network.classifier.source].to(torch.float64).sum(dim=(2, 3))
            scores = (pooled @ last["weights"].T).to(torch.int64) + last["bias"]
        return scores.numpy(), kept


def run(network: Network, images: np.ndarray, batch: int = BATCH) -> Result:
    """Run `images` [N, H, W, C] uint8 through `network`, `batch` frames at a time.

    All records of all frames are returned: for many frames of a large network use
    :func:`logits`, or :class:`Reference` batch by batch.
    """
    reference = Reference(network)
    parts = [reference(part) for part in _batches(images, batch)]
    records = tuple(
        Records(
            np.concatenate([part.records[index].value for part in parts]),
            np.concatenate([part.records[index].winner for part in parts]),
        )
        for index in range(len(network.convs))
    )
    scores = np.concatenate([part.logits for part in parts])
    return Result(records, scores, _lowest_maximum(scores))


def logits(
    network: Network,
    images: np.ndarray,
    batch: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Logits [N, classes] int64 of `images` [N, H, W, C] uint8; nothing else is kept.

    `progress`, where given, is called with the number of frames after each batch.
    """
    reference = Reference(network)
    parts = []
    for part in _batches(images, batch):
        parts.append(reference.logits(part))
        if progress is not None:
            progress(len(part))
    return np.concatenate(parts)


def _batches(images, batch):
    if batch < 1:
        raise ValueError(f"Batch must be a positive integer, not {batch}")
    if len(images) == 0:
        return [images]
    return [images[first : first + batch] for first in range(0, len(images), batch)]


@contextmanager
def _plain_products():
    """Convolutions as an im2col and a matrix product: no algorithm that rounds on the way."""
    with ExitStack() as stack:
        with warnings.catch_warnings():
            # torch warns of its own settings of Intel GPUs, whatever is asked for.
            warnings.filterwarnings("ignore", message="TF32 acceleration")
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
            stack.enter_context(torch.backends.nnpack.flags(enabled=False))
        yield


def _prepare(layer: Conv | Classifier, tensors) -> dict:
    """The layer's integers as torch tensors, its weights in a float type proven to be exact."""
    low, high = accumulator_bound(layer, tensors)
    dtype = torch.float32 if max(-low, high) < 2**24 else torch.float64
    if layer.kind == "classifier":
        return {
            "weights": torch.from_numpy(layer.weights.astype(np.float64)),
            "bias": _integers(layer.bias),
        }
    prepared = {
        "dtype": dtype,
        "weights": torch.from_numpy(layer.weights.astype(np.int64))
        .permute(0, 3, 1, 2)  # [Cout, Cin, Kh, Kw]
        .to(dtype)
        .contiguous(),
        "bias": _channels(layer.bias),
        "multiplier": _channels(layer.multiplier),
        "shift": _channels(layer.shift),
        "half": _channels(np.left_shift(np.int64(1), layer.shift.astype(np.int64) - 1)),
    }
    if layer.projection is not None:
        scaled = layer.projection.weights.astype(np.int64) * 2**layer.projection.exponent
        prepared["projection"] = torch.from_numpy(scaled)[:, :, None, None].to(dtype)
    if layer.identity is not None:
        prepared["factor"] = _channels(layer.identity.factor)
    return prepared


def _integers(array):
    return torch.from_numpy(array.astype(np.int64))


def _channels(array):
    return _integers(array)[None, :, None, None]


def _convolve(layer, prepared, dense):
    """One convolution: (value, winner), each [N, G, H, W] int64."""
    top, bottom, left, right = layer.padding
    padded = torch.nn.functional.pad(dense[layer.source], (left, right, top, bottom))
    total = torch.nn.functional.conv2d(
        padded.to(prepared["dtype"]), prepared["weights"], stride=layer.stride
    )  # [N, Cout, H, W]
    if layer.projection is not None:
        stride = layer.projection.stride
        picked = dense[layer.projection.source][:, :, ::stride, ::stride]
        picked = picked[:, :, : total.shape[2], : total.shape[3]].to(prepared["dtype"])
        total = total + torch.nn.functional.conv2d(picked, prepared["projection"])
    total = total.to(torch.int64) + prepared["bias"]
    if layer.identity is not None:
        total += prepared["factor"] * dense[layer.identity.source].to(torch.int64)
    quantised = (total * prepared["multiplier"]).add_(prepared["half"])
    quantised.bitwise_right_shift_(prepared["shift"])  # arithmetic on signed integers
    quantised.clamp_(0, 2**layer.activation_bits - 1)

    size = layer.group_size
    shape = (len(total), layer.channels // size, size, *total.shape[2:])  # [N, G, l, H, W]
    # The lowest index wins a tie because it is part of the key: key * l + (l - 1 - index).
    key = (total if layer.order == "before" else quantised).view(shape)
    rank = torch.arange(size - 1, -1, -1)[:, None, None]
    best = (key * size + rank).amax(dim=2)
    winner = (size - 1) - torch.remainder(best, size)
    value = quantised.view(shape).gather(2, winner.unsqueeze(2)).squeeze(2)
    if layer.binary:
        value = value.clamp_(max=1)
    winner[value == 0] = 0
    return value, winner


def _expand(value, winner, size):
    count, groups, height, width = value.shape
    dense = torch.zeros((count, groups, size, height, width), dtype=torch.float32)
    dense.scatter_(2, winner.unsqueeze(2), value.unsqueeze(2).to(torch.float32))
    return dense.view(count, groups * size, height, width)


def _array(tensor):
    return np.ascontiguousarray(tensor.permute(0, 2, 3, 1).numpy())


def _lowest_maximum(scores):
    """Class of each frame: the lowest index of its largest logit."""
    return np.argmax(scores == scores.max(axis=1, keepdims=True), axis=1)

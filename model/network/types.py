"""What a network is: convolutions and a classifier of integers, and the tensors between them."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from model.network.limits import accumulator_bound, signed_bits

__all__ = ["Classifier", "Conv", "Golden", "Identity", "Network", "Projection", "Tensor", "image"]


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Shape and range of one grouped tensor: a grid of records (value, winner).

    ``channels`` feature maps in groups of ``group_size``; values are 0 to ``maximum``.
    """

    height: int
    width: int
    channels: int
    group_size: int
    maximum: int

    @property
    def groups(self) -> int:
        return self.channels // self.group_size

    @property
    def pixels(self) -> int:
        return self.height * self.width


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """Projection shortcut: ``A[o] += 2**exponent * sum_g weights[o, g*l + k] * v``.

    ``source`` is a tensor index, ``stride`` its step in pixels, ``weights`` [Cout, Cin] integers
    of the layer's ``weight_bits``.
    """

    source: int
    stride: int
    exponent: int
    weights: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Identity:
    """Identity residual: ``S[o] += factor[o] * R[o]``; ``factor`` [Cout] integers."""

    source: int
    factor: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv:
    """A convolution with its requantiser and winner-takes-all (``docs/arithmetic.md``).

    ``weights`` [Cout, Kh, Kw, Cin], signed, ``weight_bits`` wide; ``padding`` is (top, bottom,
    left, right); ``bias``, ``multiplier``, ``shift`` are [Cout]; ``order`` says whether the
    winner is taken ``after`` or ``before`` requantising; ``binary`` puts 1 for any Q > 0.
    """

    name: str
    source: int
    weights: np.ndarray
    weight_bits: int
    stride: int
    padding: tuple[int, int, int, int]
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    group_size: int
    activation_bits: int
    order: str = "after"
    binary: bool = False
    projection: Projection | None = None
    identity: Identity | None = None

    kind: ClassVar[Literal["conv"]] = "conv"

    @property
    def channels(self) -> int:
        return self.weights.shape[0]

    def output(self, source: Tensor) -> Tensor:
        """The tensor that this layer makes of `source`."""
        top, bottom, left, right = self.padding
        return Tensor(
            height=(source.height + top + bottom - self.weights.shape[1]) // self.stride + 1,
            width=(source.width + left + right - self.weights.shape[2]) // self.stride + 1,
            channels=self.channels,
            group_size=self.group_size,
            maximum=1 if self.binary else 2**self.activation_bits - 1,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifier:
    """Sum over all pixels, then fully connected: ``weights`` [classes, Cin], ``bias`` [classes].

    The logits are exact sums; the class is the lowest index of their maximum.
    """

    name: str
    source: int
    weights: np.ndarray
    weight_bits: int
    bias: np.ndarray

    kind: ClassVar[Literal["classifier"]] = "classifier"
    projection: ClassVar[None] = None
    identity: ClassVar[None] = None

    @property
    def channels(self) -> int:
        return self.weights.shape[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Golden:
    """Golden vectors of the integer reference: what every implementation must reproduce.

    ``images`` [N, H, W, C] uint8; ``digests`` N tuples with one :func:`record_digest` for each
    convolution; ``logits`` [N, classes] integers.
    """

    images: np.ndarray
    digests: tuple[tuple[str, ...], ...]
    logits: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Convolutions and, last, one classifier. Tensor 0 is the image, i + 1 is layer i's output.

    ``input_shape`` is (H, W, C); ``metadata`` is free, JSON-able: ``top1`` is the integer accuracy
    in percent on the test images, and who trained it how. ``sha256`` is the file's, once saved
    or loaded.
    """

    name: str
    input_shape: tuple[int, int, int]
    layers: tuple[Conv | Classifier, ...]
    classes: tuple[str, ...]
    input_bits: int = 8
    metadata: dict = field(default_factory=dict)
    golden: Golden | None = None
    sha256: str | None = None

    @property
    def convs(self) -> tuple[Conv, ...]:
        return self.layers[:-1]  # type: ignore[return-value]

    @property
    def classifier(self) -> Classifier:
        return self.layers[-1]  # type: ignore[return-value]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Tensor 0 (the image) and every convolution's output."""
        tensors = [image(self)]
        for layer in self.convs:
            tensors.append(layer.output(tensors[layer.source]))
        return tuple(tensors)

    @property
    def accumulator_bits(self) -> int:
        """Bits of a signed accumulator that holds every partial sum of every layer."""
        tensors = self.tensors
        bits = 1
        for layer in self.layers:
            low, high = accumulator_bound(layer, tensors)
            bits = max(bits, signed_bits(low, high))
        return bits


def image(network: Network) -> Tensor:
    """Tensor 0 of `network`: the image, ungrouped."""
    height, width, channels = network.input_shape
    return Tensor(
        height=height,
        width=width,
        channels=channels,
        group_size=1,
        maximum=2**network.input_bits - 1,
    )

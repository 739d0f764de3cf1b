"""How many multiplications a layer needs: dense, as peers publish it, and as a DHAM.

The definitions stand in ``docs/arithmetic.md`` ("Counting"). Neither numpy nor torch is needed.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.network import Classifier, Conv, Network, Tensor

__all__ = ["Multiplications", "multiplications", "taps", "taps_inside", "total_multiplications"]


class Multiplications(NamedTuple):
    """Multiplications of one frame: of the ordinary network, and with one record per group."""

    dense: int
    dham: int


def taps_inside(size: int, kernel: int, stride: int, before: int, outputs: int) -> int:
    """Taps along one axis that fall inside the image, summed over the output positions.

    Parameters
    ----------
    size, kernel, stride : int
        Pixels of the input, taps of the kernel and step, along this axis.
    before : int
        Padding in front of the first pixel (top or left).
    outputs : int
        Output positions along this axis.
    """
    inside = 0
    for output in range(outputs):
        first = output * stride - before
        inside += min(first + kernel, size) - max(first, 0)
    return inside


def taps(layer: "Conv", source: "Tensor") -> int:
    """Taps inside the image, summed over the output pixels of `layer`, which reads `source`."""
    output = layer.output(source)
    _, height, width, _ = layer.weights.shape
    top, _, left, _ = layer.padding
    rows = taps_inside(source.height, height, layer.stride, top, output.height)
    return rows * taps_inside(source.width, width, layer.stride, left, output.width)


def multiplications(layer: "Conv | Classifier", tensors: "Sequence[Tensor]") -> Multiplications:
    """Multiplications of `layer` for one frame, projection shortcut included.

    ``dham`` is (taps inside the image) x (groups) x (output channels): what a DHAM really needs.
    ``dense`` counts every tap, padding too, and every input channel. The classifier is a kernel
    as large as its input: its ``dham`` is pixels x groups x classes; its ``dense``, as peers
    publish it, is counted behind the pool (channels x classes). A weight of more than four bits
    counts once.

    Parameters
    ----------
    layer : Conv or Classifier
    tensors : sequence of Tensor
        ``Network.tensors``: the image, then each convolution's output.
    """
    source = tensors[layer.source]
    if layer.kind == "classifier":
        return Multiplications(
            dense=source.channels * layer.channels,
            dham=source.pixels * source.groups * layer.channels,
        )
    output = layer.output(source)
    _, kernel_height, kernel_width, _ = layer.weights.shape
    dense = output.pixels * kernel_height * kernel_width * source.channels
    dham = taps(layer, source) * source.groups
    if layer.projection is not None:
        shortcut = tensors[layer.projection.source]
        dense += output.pixels * shortcut.channels
        dham += output.pixels * shortcut.groups
    return Multiplications(dense=dense * layer.channels, dham=dham * layer.channels)


def total_multiplications(network: "Network") -> Multiplications:
    """Multiplications of one frame of the whole network."""
    tensors = network.tensors
    counts = [multiplications(layer, tensors) for layer in network.layers]
    return Multiplications(
        dense=sum(count.dense for count in counts), dham=sum(count.dham for count in counts)
    )

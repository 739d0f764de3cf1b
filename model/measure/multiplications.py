"""Multiplications of one frame, layer by layer, and as Table 1 of arXiv 2012.01509 counts them.

True counts are those of ``model.network.count`` (``docs/arithmetic.md``): dense with padding, dense
with the taps inside the image alone, and as a DHAM.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.common.errors import UserError
from model.dham.shapes import Convolution, Shape, shape_of
from model.network import Classifier, Conv, Identity, Network, Projection
from model.network.count import multiplications

__all__ = [
    "CLASSES",
    "PRINTED",
    "LayerCount",
    "PaperRow",
    "layer_counts",
    "paper_rows",
    "papers_count",
    "skeleton",
    "total",
]

_GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64)
# fmt: off
#: The two columns of Table 1 as printed, by ℓ. Compared with, never computed with.
PRINTED = {
    "resnet18": dict(zip(_GROUP_SIZES, (
        5070848, 3125248, 2152448, 1666048, 1422848, 1301248, 1240448,
    ), strict=True)),
    "resnet50": dict(zip(_GROUP_SIZES, (
        1297809408, 861601792, 643497984, 534446080, 479920128, 452657152, 439025664,
    ), strict=True)),
}
# fmt: on
CLASSES = {"resnet18": 10, "resnet50": 100}  # CIFAR-10 and CIFAR-100, in Table 1


@dataclass(frozen=True, kw_only=True)
class LayerCount:
    """One layer's size and its multiplications for one frame; a shortcut's projection included.

    Attributes
    ----------
    input, output : tuple of int
        Height, width, channels.
    kernel : tuple of int
        Height and width.
    input_group_size : int
        ℓ of the tensor that it reads.
    dense, dense_inside, dham : int
        Ordinary network, padding included; without padding; one product a tap inside the image,
        group and output channel. The classifier is dense behind the pool, and has no padding.
    """

    name: str
    input: tuple[int, int, int]
    input_group_size: int
    output: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: int
    projection: bool
    dense: int
    dense_inside: int
    dham: int


@dataclass(frozen=True, kw_only=True)
class PaperRow:
    """A row of Table 1: its count, recomputed and printed, and the true counts beside it.

    ``dham`` has every layer grouped; in ``dham_dense_sums`` a layer after an addition stays dense.
    """

    group_size: int
    papers_count: int
    printed: int
    equal: bool
    dense: int
    dense_inside: int
    dham: int
    dham_dense_sums: int


def skeleton(shape: Shape) -> Network:
    """The network of `shape` as its file would hold it, but with weights of 0 that take no memory.

    For what depends on sizes alone. It is not sound (there is nothing to requantise), so it
    cannot be saved.
    """
    convolutions = shape.convolutions()
    layers: list[Conv | Classifier] = []
    for c in convolutions:
        projection = identity = None
        if c.projects:
            projection = Projection(
                source=_given(c.shortcut),
                stride=c.shortcut_stride,
                exponent=0,
                weights=_zeros(c.channels, _given(c.shortcut_channels)),
            )
        elif c.shortcut is not None:
            identity = Identity(source=c.shortcut, factor=_zeros(c.channels))
        layers.append(
            Conv(
                name=c.name,
                source=c.source,
                weights=_zeros(c.channels, c.kernel, c.kernel, c.inputs),
                weight_bits=shape.weight_bits,
                stride=c.stride,
                padding=((c.kernel - 1) // 2,) * 4,
                bias=_zeros(c.channels),
                multiplier=_zeros(c.channels),
                shift=_zeros(c.channels),
                group_size=c.group_size,
                activation_bits=shape.activation_bits,
                projection=projection,
                identity=identity,
            )
        )
    classifier = Classifier(
        name="classifier",
        source=len(layers),
        weights=_zeros(shape.classes, convolutions[-1].channels),
        weight_bits=shape.classifier_bits,
        bias=_zeros(shape.classes),
    )
    return Network(
        name="skeleton",
        input_shape=(shape.size, shape.size, convolutions[0].inputs),
        layers=(*layers, classifier),
        classes=tuple(map(str, range(shape.classes))),
    )


def _zeros(*shape: int) -> np.ndarray:
    return np.broadcast_to(np.int8(0), shape)


def _given(value: int | None) -> int:
    assert value is not None
    return value


def layer_counts(network: Network) -> list[LayerCount]:
    """The counts of every layer of `network` (a file's, or a `skeleton`), classifier last."""
    tensors = network.tensors
    ungrouped = [replace(tensor, group_size=1) for tensor in tensors]
    counts = []
    for layer in network.layers:
        source, count = tensors[layer.source], multiplications(layer, tensors)
        size: dict = {"output": (1, 1, layer.channels), "kernel": (1, 1), "stride": 1}
        inside = count.dense
        if isinstance(layer, Conv):
            output = layer.output(source)
            size["output"] = (output.height, output.width, output.channels)
            size["kernel"] = layer.weights.shape[1:3]
            size["stride"] = layer.stride
            inside = multiplications(layer, ungrouped).dham
        counts.append(
            LayerCount(
                name=layer.name,
                input=(source.height, source.width, source.channels),
                input_group_size=source.group_size,
                projection=layer.projection is not None,
                dense=count.dense,
                dense_inside=inside,
                dham=count.dham,
                **size,
            )
        )
    return counts


def total(counts: Sequence[LayerCount]) -> dict[str, int]:
    """``dense``, ``dense_inside`` and ``dham`` of all layers together."""
    return {
        key: sum(getattr(count, key) for count in counts)
        for key in ("dense", "dense_inside", "dham")
    }


def papers_count(name: str, group_size: int) -> int:
    """Multiplications of `name` (resnet18 or resnet50) as Table 1 of arXiv 2012.01509 counts them.

    Both columns count padding, the projections and no classifier. ResNet-50's divides by ℓ what
    reads neither the image, the stem nor a sum: the second and third convolution of each
    bottleneck. ResNet-18's leaves out Cin, and divides by ℓ everything, projections too, but the
    stem and the first block's first convolution.
    """
    convolutions = shape_of(name, group_sizes=(1,)).convolutions()
    whole = divided = 0
    for index, c in enumerate(convolutions):
        shortcut = c.channels * c.output_size**2 if c.projects else 0
        taps = c.channels * c.kernel**2 * c.output_size**2
        if name == "resnet18":
            whole += taps if index < 2 else 0
            divided += shortcut + (0 if index < 2 else taps)
        else:
            whole += shortcut * (c.shortcut_channels or 0)
            if _reads_stem_or_sum(c, convolutions):
                whole += taps * c.inputs
            else:
                divided += taps * c.inputs
    if divided % group_size:
        raise ValueError(f"ℓ = {group_size} does not divide the paper's count of {name}")
    return whole + divided // group_size


def _reads_stem_or_sum(c: Convolution, convolutions: Sequence[Convolution]) -> bool:
    """Whether the input is the image, the stem's output, or the output of an addition."""
    return c.source <= 1 or convolutions[c.source - 1].shortcut is not None


def paper_rows(name: str, group_sizes: Sequence[int] | None = None) -> list[PaperRow]:
    """Rows of Table 1 for `name`, all of them or those of `group_sizes`, with the true counts.

    Raises ``UserError`` where Table 1 has no such row.
    """
    if name not in PRINTED:
        raise UserError(f"--paper: Table 1 has {' and '.join(PRINTED)}, not {name}")
    printed = PRINTED[name]
    rows = []
    for size in group_sizes or printed:
        if size not in printed:
            known = ", ".join(map(str, printed))
            raise UserError(f"--paper: Table 1 has no row for ℓ = {size}; its rows are {known}")
        options: dict = {"group_sizes": (size,), "classes": CLASSES[name]}
        shapes = [shape_of(name, dense_sums=dense, **options) for dense in (False, True)]
        true, sums = (total(layer_counts(skeleton(shape))) for shape in shapes)
        count = papers_count(name, size)
        rows.append(
            PaperRow(
                group_size=size,
                papers_count=count,
                printed=printed[size],
                equal=count == printed[size],
                dense=true["dense"],
                dense_inside=true["dense_inside"],
                dham=true["dham"],
                dham_dense_sums=sums["dham"],
            )
        )
    return rows

"""Residual networks with DHAM activations: MLPerf Tiny's ResNet-8, and others of its family.

A network is a stem and stages of basic blocks (3x3 convolution, 3x3 convolution, shortcut). The
first block of a stage that changes stride or width has a 1x1 projection as its shortcut, added in
the same sum; the others the identity.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.activation import group_size_of, positive_integer
from model.errors import UserError, nearest
from model.layers import Layer, OutputLayer
from model.quantise import Mode

__all__ = ["NETWORKS", "ResNet", "Shape", "Stage"]


@dataclass(frozen=True)
class Stage:
    """A stage: `blocks` blocks of two convolutions with `channels` outputs each."""

    channels: int
    blocks: int = 1
    stride: int = 1  # of its first block


@dataclass(frozen=True)
class Shape:
    """All that defines a network apart from its weights.

    Attributes
    ----------
    stem : int
        Channels of the 3x3 convolution that reads the image.
    stages : tuple of Stage
    group_sizes : tuple of int
        ℓ of the stem and of every block's two convolutions, in order.
    """

    stem: int
    stages: tuple[Stage, ...]
    group_sizes: tuple[int, ...]
    stem_stride: int = 1
    weight_bits: int = 4
    activation_bits: int = 4
    stem_bits: int = 4
    classifier_bits: int = 8
    order: str = "before"
    binary: bool = False
    classes: int = 10
    size: int = 32

    def __post_init__(self):
        widths = self.channels()
        if len(self.group_sizes) != len(widths):
            raise ValueError(
                f"{len(widths)} group sizes are needed, one a layer, not {len(self.group_sizes)}"
            )
        for width, group_size in zip(widths, self.group_sizes, strict=True):
            group_size_of(width, group_size=group_size)

    def channels(self) -> list[int]:
        """Output channels of every convolution, in order."""
        return [
            self.stem,
            *(stage.channels for stage in self.stages for _ in range(2 * stage.blocks)),
        ]


@dataclass(frozen=True)
class Known:
    """A network by name: widths are multiples of the option --width."""

    stages: tuple[tuple[float, int, int], ...]  # width factor, blocks, stride
    summary: str
    width: int = 16
    group_sizes: tuple[int, ...] = (4,)  # by default; one for all, one a stage, or one a layer


NETWORKS = {
    "resnet8": Known(((1, 1, 1), (2, 1, 2), (4, 1, 2)), "MLPerf Tiny's ResNet-8"),
    "dham8": Known(
        ((2, 1, 2), (4, 1, 2), (6, 1, 2)),
        "three blocks with projections, at 16x16, 8x8 and 4x4",
        group_sizes=(4, 4, 2, 2),
    ),
}


def shape_of(
    name: str,
    *,
    width: int | None = None,
    group_sizes: tuple[int, ...] | None = None,
    groups: tuple[int, ...] | None = None,
    **options,
) -> Shape:
    """Shape of a known network.

    `group_sizes` (ℓ) or `groups` (c) are one number for all layers, one for the stem and each
    stage, or one a layer; `options` are further fields of `Shape`.
    """
    if name not in NETWORKS:
        raise UserError(f"Unknown network {name}: {nearest(name, tuple(NETWORKS))}")
    known = NETWORKS[name]
    width = known.width if width is None else positive_integer(width, "Width")
    stages = tuple(
        Stage(int(factor * width), blocks, stride) for factor, blocks, stride in known.stages
    )
    if group_sizes is None and groups is None:
        group_sizes = known.group_sizes
    plain = Shape(width, stages, (1,) * (1 + 2 * sum(s.blocks for s in stages)), **options)
    widths = plain.channels()
    given = groups if group_sizes is None else group_sizes
    if len(given) == 1:
        given = given * len(widths)
    elif len(given) == 1 + len(stages) != len(widths):
        given = (
            given[0],
            *(
                size
                for size, stage in zip(given[1:], stages, strict=True)
                for _ in range(2 * stage.blocks)
            ),
        )
    if len(given) != len(widths):
        raise ValueError(
            f"Give 1 group size, {1 + len(stages)} (stem and stages) or "
            f"{len(widths)} (layers), not {len(given)}"
        )
    key = "groups" if group_sizes is None else "group_size"
    sizes = tuple(group_size_of(w, **{key: g}) for w, g in zip(widths, given, strict=True))
    return Shape(width, stages, sizes, **options)


class ResNet(nn.Module):
    """The network. `layers` and `sources` are in the order of the network file.

    `sources[i]` is (input, shortcut) of layer i as tensor indices: 0 is the image, i + 1 the
    output of layer i; the shortcut is None where there is none.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape, self.mode = shape, Mode()
        common = {
            "activation_bits": shape.activation_bits,
            "order": shape.order,
            "binary": shape.binary,
            "mode": self.mode,
            "kernel": 3,
        }
        sizes = iter(shape.group_sizes)
        layers = [
            Layer(
                name="stem",
                inputs=3,
                channels=shape.stem,
                stride=shape.stem_stride,
                group_size=next(sizes),
                weight_bits=shape.stem_bits,
                **common,
            )
        ]
        self.sources: list[tuple[int, int | None]] = [(0, None)]
        width, size = shape.stem, -(-shape.size // shape.stem_stride)
        for number, stage in enumerate(shape.stages, 1):
            for block in range(1, stage.blocks + 1):
                stride = stage.stride if block == 1 else 1
                here = len(layers)  # tensor that enters the block
                name = f"stage{number}.block{block}"
                keywords = {"channels": stage.channels, "weight_bits": shape.weight_bits, **common}
                layers.append(
                    Layer(
                        name=f"{name}.conv1",
                        inputs=width,
                        stride=stride,
                        group_size=next(sizes),
                        **keywords,
                    )
                )
                layers.append(
                    Layer(
                        name=f"{name}.conv2",
                        inputs=stage.channels,
                        stride=1,
                        group_size=next(sizes),
                        shortcut=width,
                        shortcut_stride=stride,
                        **keywords,
                    )
                )
                self.sources += [(here, None), (here + 1, here)]
                width, size = stage.channels, -(-size // stride)
        self.layers = nn.ModuleList(layers)
        self.classifier = OutputLayer(
            inputs=width,
            classes=shape.classes,
            pixels=size * size,
            weight_bits=shape.classifier_bits,
            activation_bits=shape.activation_bits,
            mode=self.mode,
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, classes] of raw pixel values [N, 3, H, W]."""
        tensors = [images]
        for layer, (source, shortcut) in zip(self.layers, self.sources, strict=True):
            tensors.append(layer(tensors[source], None if shortcut is None else tensors[shortcut]))
        return self.classifier(tensors[-1])

"""Shapes of residual networks: all that defines one apart from its weights. Free of torch.

A network is a stem (3x3, no max-pool) and stages of blocks: basic (3x3, 3x3) or bottleneck (1x1,
3x3, 1x1 with four times the channels). The first block of a stage that changes stride or width has
a 1x1 projection as its shortcut, added in the same sum; the others the identity. ResNet-18, 34 and
50 are those of He et al. 2016 (arXiv 1512.03385, table 1) with the stem of its section 4.2, as
arXiv 2012.01509 uses them; ResNet-20 is that of section 4.2, with projections; ResNet-8 is MLPerf
Tiny's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from model.common.errors import UserError, nearest
from model.dham.activation import group_size_of, positive_integer

__all__ = ["NETWORKS", "Convolution", "Shape", "Stage", "shape_of"]

EXPANSION = 4  # outputs of a bottleneck block, in multiples of its channels


@dataclass(frozen=True)
class Stage:
    """A stage: `blocks` blocks of convolutions with `channels` outputs each.

    A bottleneck block's third convolution has `EXPANSION` times as many.
    """

    channels: int
    blocks: int = 1
    stride: int = 1  # of its first block
    bottleneck: bool = False

    def kernels(self) -> tuple[tuple[int, int], ...]:
        """Kernel and output channels of each convolution of a block."""
        if self.bottleneck:
            return (1, self.channels), (3, self.channels), (1, EXPANSION * self.channels)
        return (3, self.channels), (3, self.channels)


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """Place and size of one convolution. Tensor 0 is the image, i + 1 the output of layer i.

    Attributes
    ----------
    inputs, channels : int
        Cin and Cout.
    kernel, stride : int
        Padding is (kernel - 1) // 2 on every side.
    size, output_size : int
        Height and width of input and of output, in pixels.
    group_size : int
        ℓ of the output.
    source : int
        Tensor that it reads.
    shortcut : int or None
        Tensor whose shortcut is added, with its channels and the shortcut's stride.
    """

    name: str
    inputs: int
    channels: int
    kernel: int
    stride: int
    size: int
    group_size: int
    source: int
    shortcut: int | None = None
    shortcut_channels: int | None = None
    shortcut_stride: int = 1

    @property
    def output_size(self) -> int:
        return -(-self.size // self.stride)

    @property
    def projects(self) -> bool:
        """Whether the shortcut is a 1x1 projection, not the identity."""
        return self.shortcut is not None and (
            self.shortcut_stride > 1 or self.shortcut_channels != self.channels
        )


@dataclass(frozen=True)
class Shape:
    """All that defines a network apart from its weights.

    Attributes
    ----------
    stem : int
        Channels of the 3x3 convolution that reads the image.
    stages : tuple of Stage
    group_sizes : tuple of int
        ℓ of the stem and of every block's convolutions, in order.
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
            *(channels for stage in self.stages for _, channels in stage.kernels() * stage.blocks),
        ]

    def convolutions(self) -> list[Convolution]:
        """Every convolution, in order, with where it reads from."""
        sizes = iter(self.group_sizes)
        found = [
            Convolution(
                name="stem",
                inputs=3,
                channels=self.stem,
                kernel=3,
                stride=self.stem_stride,
                size=self.size,
                group_size=next(sizes),
                source=0,
            )
        ]
        for number, stage in enumerate(self.stages, 1):
            for block in range(1, stage.blocks + 1):
                entry, before = len(found), found[-1]  # tensor that enters the block, its layer
                stride = stage.stride if block == 1 else 1
                kernels = stage.kernels()
                for index, (kernel, channels) in enumerate(kernels):
                    last = {
                        "shortcut": entry,
                        "shortcut_channels": before.channels,
                        "shortcut_stride": stride,
                    }
                    found.append(
                        Convolution(
                            name=f"stage{number}.block{block}.conv{index + 1}",
                            inputs=found[-1].channels,
                            channels=channels,
                            kernel=kernel,
                            stride=stride if index == len(kernels) - 2 else 1,  # the first 3x3
                            size=found[-1].output_size,
                            group_size=next(sizes),
                            source=len(found),
                            **(last if index == len(kernels) - 1 else {}),
                        )
                    )
        return found


@dataclass(frozen=True)
class Known:
    """A network by name: widths are multiples of the option --width."""

    stages: tuple[tuple[float, int, int], ...]  # width factor, blocks, stride
    summary: str
    width: int = 16
    group_sizes: tuple[int, ...] = (4,)  # by default, as `shape_of` takes them
    bottleneck: bool = False


def four(*blocks: int) -> tuple[tuple[float, int, int], ...]:
    """The four stages of the ImageNet family."""
    return tuple((2**i, count, 1 if i == 0 else 2) for i, count in enumerate(blocks))


NETWORKS = {
    "resnet8": Known(((1, 1, 1), (2, 1, 2), (4, 1, 2)), "MLPerf Tiny's ResNet-8"),
    "dham8": Known(
        ((2, 1, 2), (4, 1, 2), (6, 1, 2)),
        "three blocks with projections, at 16x16, 8x8 and 4x4",
        group_sizes=(4, 4, 2, 2),
    ),
    "resnet20": Known(((1, 3, 1), (2, 3, 2), (4, 3, 2)), "ResNet-20", group_sizes=(2,)),
    "resnet18": Known(four(2, 2, 2, 2), "ResNet-18", width=64, group_sizes=(2,)),
    "resnet34": Known(four(3, 4, 6, 3), "ResNet-34", width=64, group_sizes=(2,)),
    "resnet50": Known(
        four(3, 4, 6, 3), "ResNet-50, of bottlenecks", width=64, group_sizes=(2,), bottleneck=True
    ),
}


def per_layer(given: Sequence[int], stages: Sequence[Stage]) -> tuple[int, ...]:
    """One number for each layer, from one for all, one for stem and each stage, or one a layer.

    Raises `ValueError` for any other count.
    """
    layers = [len(stage.kernels()) * stage.blocks for stage in stages]
    if len(given) == 1:
        return tuple(given) * (1 + sum(layers))
    if len(given) == 1 + sum(layers):
        return tuple(given)
    if len(given) != 1 + len(stages):
        raise ValueError(
            f"Give 1 group size, {1 + len(stages)} (stem and stages) or "
            f"{1 + sum(layers)} (layers), not {len(given)}"
        )
    spread = (size for size, count in zip(given[1:], layers, strict=True) for _ in range(count))
    return (given[0], *spread)


def shape_of(
    name: str,
    *,
    width: int | None = None,
    group_sizes: tuple[int, ...] | None = None,
    groups: tuple[int, ...] | None = None,
    dense_sums: bool = False,
    **options,
) -> Shape:
    """Shape of a known network.

    `group_sizes` (ℓ) or `groups` (c) are one number for all layers, one for the stem and each
    stage, or one a layer; `dense_sums` leaves the layers after an addition dense (ℓ = 1);
    `options` are further fields of `Shape`.
    """
    if name not in NETWORKS:
        raise UserError(f"Unknown network {name}: {nearest(name, tuple(NETWORKS))}")
    known = NETWORKS[name]
    width = known.width if width is None else positive_integer(width, "Width")
    stages = tuple(
        Stage(int(factor * width), blocks, stride, known.bottleneck)
        for factor, blocks, stride in known.stages
    )
    plain = Shape(width, stages, per_layer((1,), stages), **options)
    if group_sizes is None and groups is not None:
        key, given = "groups", per_layer(groups, stages)
    else:
        key, given = (
            "group_size",
            per_layer(known.group_sizes if group_sizes is None else group_sizes, stages),
        )
    sizes = []
    for layer, number in zip(plain.convolutions(), given, strict=True):
        if dense_sums and layer.shortcut is not None:
            sizes.append(1)
            continue
        try:
            sizes.append(group_size_of(layer.channels, **{key: number}))
        except ValueError as error:
            which = "" if len(set(given)) == 1 else f"Layer {layer.name}: "
            raise ValueError(f"{which}{error}") from None
    return Shape(width, stages, tuple(sizes), **options)

"""Residual networks with DHAM activations, of a `model.dham.shapes.Shape`, for 32x32 pixels."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from model.dham.layers import Layer, OutputLayer
from model.dham.quantise import Mode
from model.dham.shapes import Shape

__all__ = ["ResNet", "evaluating"]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """A network in evaluation, without gradients; afterwards it is as it was."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(training)


class ResNet(nn.Module):
    """The network. `layers` and `sources` are in the order of the network file.

    `sources[i]` is (input, shortcut) of layer i as tensor indices: 0 is the image, i + 1 the
    output of layer i; the shortcut is None where there is none.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape, self.mode = shape, Mode()
        convolutions = shape.convolutions()
        self.sources = [(c.source, c.shortcut) for c in convolutions]
        self.layers = nn.ModuleList(
            Layer(
                name=c.name,
                inputs=c.inputs,
                channels=c.channels,
                kernel=c.kernel,
                stride=c.stride,
                group_size=c.group_size,
                weight_bits=shape.stem_bits if c.source == 0 else shape.weight_bits,
                activation_bits=shape.activation_bits,
                order=shape.order,
                binary=shape.binary,
                shortcut=c.shortcut_channels,
                shortcut_stride=c.shortcut_stride,
                mode=self.mode,
            )
            for c in convolutions
        )
        self.classifier = OutputLayer(
            inputs=convolutions[-1].channels,
            classes=shape.classes,
            pixels=convolutions[-1].output_size ** 2,
            weight_bits=shape.classifier_bits,
            activation_bits=shape.activation_bits,
            mode=self.mode,
        )
        self.to(memory_format=torch.channels_last)

    def run(self, images: Tensor, keep: bool) -> list[Tensor | None]:
        """Image and outputs of all layers; without `keep`, only what is still to be read: the last.

        A deep network in evaluation would otherwise hold every layer's output at once.
        """
        tensors: list[Tensor | None] = [images]
        last = {tensor: i for i, pair in enumerate(self.sources) for tensor in pair}
        for i, (layer, (source, shortcut)) in enumerate(
            zip(self.layers, self.sources, strict=True)
        ):
            added = None if shortcut is None else tensors[shortcut]
            tensors.append(layer(tensors[source], added))
            if not keep:
                for read in (source, shortcut):
                    if read is not None and last[read] == i:
                        tensors[read] = None
        return tensors

    def activations(self, images: Tensor) -> list[Tensor]:
        """Output of every layer, [N, C, H, W] in levels, of raw pixel values [N, 3, H, W]."""
        return self.run(images, keep=True)[1:]

    def features(self, images: Tensor) -> Tensor:
        """Pooled activations of the last layer, [N, C], float: what the classifier reads."""
        return self.run(images, keep=False)[-1].float().mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, classes] of raw pixel values [N, 3, H, W]."""
        return self.classifier(self.run(images, keep=False)[-1])

"""From a trained network to its network file: integers, metadata, golden vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from model.common.errors import UserError
from model.data.cifar import Images, to_input
from model.integers.golden import attach_golden
from model.integers.reference import logits
from model.network import Classifier, Conv, Identity, Network, Projection

if TYPE_CHECKING:
    from torch import Tensor

    from model.dham.layers import Layer
    from model.dham.resnet import ResNet

__all__ = ["export", "finish"]


def integers(tensor: Tensor) -> np.ndarray:
    """A float tensor of integers as int64; raises `ValueError` where it is something else."""
    values = tensor.detach().cpu().double().numpy()
    if not np.array_equal(values, np.rint(values)):
        raise ValueError("Tensor to export must hold integers")
    return values.astype(np.int64)


def export_layer(layer: Layer, source: int, shortcut: int | None) -> Conv:
    """A trained layer as integers."""
    from model.dham.layers import MULTIPLIER_SHIFT

    folded = layer.fold()
    projection = identity = None
    if folded.projection is not None:
        projection = Projection(
            source=shortcut,
            stride=layer.shortcut_stride,
            exponent=folded.exponent,
            weights=integers(folded.projection[:, :, 0, 0]),
        )
    elif shortcut is not None:
        identity = Identity(source=shortcut, factor=integers(folded.residual))
    return Conv(
        name=layer.name,
        source=source,
        weights=integers(folded.weights.permute(0, 2, 3, 1)),
        weight_bits=layer.weight_bits,
        stride=layer.stride,
        padding=(layer.padding,) * 4,
        bias=integers(folded.bias),
        multiplier=integers(folded.multiplier),
        shift=np.full(len(folded.bias), MULTIPLIER_SHIFT),
        group_size=layer.group_size,
        activation_bits=1 if layer.binary else layer.activation_bits,
        order=layer.order,
        binary=layer.binary,
        projection=projection,
        identity=identity,
    )


def export(network: ResNet, name: str, classes: Sequence[str]) -> Network:
    """The integers of a trained network, without accuracy and golden vectors.

    The network must be in its quantised mode: `network.mode.quantised`.
    """
    if not network.mode.quantised:
        raise ValueError("Network must be quantised before it is exported")
    layers = [
        export_layer(layer, *sources)
        for layer, sources in zip(network.layers, network.sources, strict=True)
    ]
    output = network.classifier
    weights, bias = output.fold()
    last = Classifier(
        name="classifier",
        source=len(layers),
        weights=integers(weights),
        weight_bits=output.weight_bits,
        bias=integers(bias),
    )
    size = network.shape.size
    return Network(
        name=name, input_shape=(size, size, 3), layers=(*layers, last), classes=tuple(classes)
    )


def decisions(network: ResNet, images: Images, batch: int = 500) -> np.ndarray:
    """Classes that the training model gives in evaluation, fp32: [N]."""
    from model.dham.resnet import evaluating

    with evaluating(network):
        parts = [
            network(to_input(images.pixels[first : first + batch])).argmax(1).cpu().numpy()
            for first in range(0, len(images), batch)
        ]
    return np.concatenate(parts)


def finish(network: Network, trained: ResNet, test: Images, facts: dict) -> Network:
    """Measure on the test images, once, and complete the network's metadata and golden vectors.

    The metadata are `facts` and, in percent: `top1` of the integer reference, and `agreement` of
    its decisions with those of the quantised training model.

    Raises `UserError` where they agree on less than 99.9 %.
    """
    labels = test.labels.cpu().numpy()
    found = logits(network, test.pixels.cpu().numpy()).argmax(1)
    agreement = 100 * float(np.mean(found == decisions(trained, test)))
    if agreement < 99.9:
        raise UserError(
            f"The exported integers agree with the training model on {agreement:.2f} % "
            "of the test images only: this is a defect, no network file is written"
        )
    facts = {
        **facts,
        "top1": round(100 * float(np.mean(found == labels)), 4),
        "agreement": round(agreement, 4),
        "test_images": len(test),
    }
    return attach_golden(replace(network, metadata=facts))

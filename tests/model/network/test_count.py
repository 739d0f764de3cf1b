"""Multiplications: the closed form against counting one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from model.network import Classifier
from model.network.count import Multiplications, multiplications, taps_inside, total_multiplications
from sim.networks import random_network
from tests.networks import networks


def counted(layer, tensors):
    """DHAM multiplications of `layer`, tap by tap."""
    source = tensors[layer.source]
    if isinstance(layer, Classifier):
        return source.height * source.width * source.groups * len(layer.weights)
    output = layer.output(source)
    top, _, left, _ = layer.padding
    channels, kernel_height, kernel_width, _ = layer.weights.shape
    total = 0
    for y, x in np.ndindex(output.height, output.width):
        for ky, kx in np.ndindex(kernel_height, kernel_width):
            row, column = y * layer.stride + ky - top, x * layer.stride + kx - left
            if 0 <= row < source.height and 0 <= column < source.width:
                total += source.groups * channels
        if layer.projection is not None:
            total += tensors[layer.projection.source].groups * channels
    return total


@settings(deadline=None, max_examples=50)
@given(network=networks())
def test_dham_count_is_that_of_counting_tap_by_tap(network):
    tensors = network.tensors
    for layer in network.layers:
        assert multiplications(layer, tensors).dham == counted(layer, tensors)
    total = total_multiplications(network)
    assert total.dham == sum(counted(layer, tensors) for layer in network.layers)


@pytest.mark.parametrize(
    "size, kernel, stride, before, outputs, expected",
    [
        (4, 3, 1, 1, 4, 10),
        (4, 3, 2, 0, 2, 5),
        (4, 3, 2, 1, 2, 5),
        (1, 5, 1, 2, 1, 1),
        (5, 1, 3, 0, 2, 2),
    ],
)
def test_taps_inside(size, kernel, stride, before, outputs, expected):
    assert taps_inside(size, kernel, stride, before, outputs) == expected


def test_dense_count_is_the_one_that_peers_publish():
    """MLPerf Tiny's ResNet-8: 12,501,632 multiplications."""
    from model.network import Conv, Projection, Tensor

    def conv(source, channels, inputs, kernel=3, stride=1, projection=None):
        return Conv(
            name="",
            source=source,
            weights=np.zeros((channels, kernel, kernel, inputs), int),
            weight_bits=4,
            stride=stride,
            padding=(1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1),
            bias=np.zeros(channels, int),
            multiplier=np.ones(channels, int),
            shift=np.ones(channels, int),
            group_size=1,
            activation_bits=4,
            projection=projection,
        )

    def projection(source, channels, inputs):
        return Projection(
            source=source, stride=2, exponent=0, weights=np.zeros((channels, inputs), int)
        )

    layers = [
        conv(0, 16, 3),
        conv(1, 16, 16),
        conv(2, 16, 16),
        conv(3, 32, 16, stride=2),
        conv(4, 32, 32, projection=projection(3, 32, 16)),
        conv(5, 64, 32, stride=2),
        conv(6, 64, 64, projection=projection(5, 64, 32)),
        Classifier(
            name="",
            source=7,
            weights=np.zeros((10, 64), int),
            weight_bits=8,
            bias=np.zeros(10, int),
        ),
    ]
    tensors = [Tensor(height=32, width=32, channels=3, group_size=1, maximum=255)]
    for layer in layers[:-1]:
        tensors.append(layer.output(tensors[layer.source]))
    counts = [multiplications(layer, tensors) for layer in layers]
    assert sum(count.dense for count in counts) == 12_501_632
    # With groups of 4 everywhere, everything behind the stem needs a quarter.
    grouped = [replace(layer, group_size=4) for layer in layers[:-1]] + layers[-1:]
    fours = [tensors[0]] + [replace(tensor, group_size=4) for tensor in tensors[1:]]
    for layer, count in zip(grouped, counts, strict=True):
        divisor = 1 if layer.source == 0 else 4
        assert multiplications(layer, fours).dham * divisor == count.dham
        assert isinstance(count, Multiplications)


def test_total_is_the_sum_of_the_layers():
    network = random_network(3)
    counts = [multiplications(layer, network.tensors) for layer in network.layers]
    assert total_multiplications(network) == tuple(map(sum, zip(*counts, strict=True)))

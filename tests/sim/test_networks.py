"""The generator of random networks keeps to its limits, and is nasty enough."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from model.integers import oracle
from model.network import Identity, Projection
from sim.networks import Limits, images_for, random_network

NARROW = Limits(
    layers=3,
    max_pixels=6,
    input_channels=1,
    channels=16,
    classes=4,
    kernel=3,
    stride=2,
    weight_bits=(1, 4),
    activation_bits=2,
    winner_bits=2,
    accumulator_bits=14,
    bias_bits=10,
    factor=15,
    scaled_weight_bits=6,
    square_kernels=True,
    binary=False,
    both_shortcuts=False,
    image_shortcuts=False,
    branches=False,
)


def assert_within(network, limits):
    height, width, channels = network.input_shape
    assert limits.min_pixels <= min(height, width) and max(height, width) <= limits.max_pixels
    assert channels <= limits.input_channels
    assert len(network.convs) <= limits.layers
    assert len(network.classes) <= limits.classes
    assert network.accumulator_bits <= limits.accumulator_bits
    edge = 2 ** (limits.bias_bits - 1)
    for index, layer in enumerate(network.layers):
        assert layer.weight_bits in limits.weight_bits
        assert -edge <= layer.bias.min() and layer.bias.max() < edge
        if not limits.branches:
            assert layer.source == index
    for layer in network.convs:
        _, kernel_height, kernel_width, _ = layer.weights.shape
        assert max(kernel_height, kernel_width) <= limits.kernel
        assert kernel_height == kernel_width or not limits.square_kernels
        assert layer.channels <= limits.channels
        assert layer.stride <= limits.stride
        assert layer.activation_bits <= limits.activation_bits
        assert layer.group_size <= 2**limits.winner_bits
        assert limits.binary or not layer.binary
        for m, s in zip(layer.multiplier.tolist(), layer.shift.tolist(), strict=True):
            fraction = m * 2.0 ** (16 - s)
            assert fraction.is_integer()
            assert limits.multiplier[0] <= fraction <= limits.multiplier[1]
        projection, identity = layer.projection, layer.identity
        if projection is not None:
            assert projection.source > 0 or limits.image_shortcuts
            assert projection.stride <= limits.stride
            assert projection.exponent + layer.weight_bits <= limits.scaled_weight_bits
        if identity is not None:
            assert identity.source not in (0, layer.source)
            assert 0 <= identity.factor.min() and identity.factor.max() <= limits.factor
            assert projection is None or limits.both_shortcuts


@pytest.mark.parametrize(
    "limits",
    [
        Limits(),
        NARROW,
        replace(NARROW, weight_bits=(8,), scaled_weight_bits=8, accumulator_bits=18),
        Limits(winner_bits=0, activation_bits=1),
        Limits(min_pixels=1, max_pixels=2, channels=1, kernel=1, stride=1),
    ],
)
def test_networks_keep_to_their_limits(limits):
    for seed in range(60):
        assert_within(random_network(seed, limits), limits)


def test_same_seed_same_network():
    one, other = random_network(11), random_network(11)
    assert one.input_shape == other.input_shape and len(one.layers) == len(other.layers)
    for first, second in zip(one.layers, other.layers, strict=True):
        np.testing.assert_array_equal(first.weights, second.weights)
        np.testing.assert_array_equal(first.bias, second.bias)
    np.testing.assert_array_equal(images_for(one, 3), images_for(other, 3))


def test_images():
    network = random_network(2)
    images = images_for(network, 0, count=9)
    assert images.shape == (9, *network.input_shape) and images.dtype == np.uint8
    assert images.max() < 2**network.input_bits


def test_variety():
    """Over some hundred networks everything that the format has occurs, and values spread."""
    seen, outputs = Counter(), Counter()
    for seed in range(150):
        network = random_network(seed)
        result = oracle.run(network, images_for(network, seed))
        for index, (layer, records) in enumerate(zip(network.convs, result.records, strict=True)):
            _, kernel_height, kernel_width, _ = layer.weights.shape
            seen[f"group size {layer.group_size}"] += 1
            seen[f"weight bits {layer.weight_bits}"] += 1
            seen[f"activation bits {layer.activation_bits}"] += 1
            seen[f"stride {layer.stride}"] += 1
            seen[f"kernel {kernel_height}"] += 1
            seen[f"order {layer.order}"] += 1
            seen["binary"] += layer.binary
            seen["oblong"] += kernel_height != kernel_width
            seen["asymmetric"] += len(set(layer.padding)) > 1
            seen["branch"] += layer.source != index
            seen["tied weights"] += layer.group_size > 1 and bool(
                (layer.weights[0] == layer.weights[1]).all()
            )
            seen["projection"] += isinstance(layer.projection, Projection)
            seen["projection of the image"] += (
                layer.projection is not None and layer.projection.source == 0
            )
            seen["exponent"] += layer.projection is not None and layer.projection.exponent > 0
            seen["identity"] += isinstance(layer.identity, Identity)
            seen["both"] += layer.identity is not None and layer.projection is not None
            top = 1 if layer.binary else 2**layer.activation_bits - 1
            used = np.unique(records.value)
            seen["saturated"] += bool((records.value == top).all())
            seen["silent"] += bool((records.value == 0).all())
            outputs["all"] += 1
            outputs["spread"] += len(used) > (top + 1) // 2
    expected = [f"group size {n}" for n in (1, 2, 3, 4, 5, 8, 16)]
    expected += [f"weight bits {n}" for n in range(1, 9)]
    expected += [f"activation bits {n}" for n in range(1, 5)]
    expected += [f"stride {n}" for n in (1, 2, 3)] + [f"kernel {n}" for n in range(1, 6)]
    expected += ["order after", "order before"]
    for name in (*expected, *seen):
        assert seen[name] >= 3, name
    assert outputs["spread"] / outputs["all"] > 0.5  # most of the values that the bits allow

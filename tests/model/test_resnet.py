"""Networks: shapes, sources, group sizes by ℓ and by c, and that export keeps every level."""

import numpy as np
import pytest
import torch

from model import oracle
from model.errors import UserError
from model.export import export
from model.network import validate
from model.resnet import NETWORKS, ResNet, Shape, Stage, shape_of


def ready(shape):
    """A network whose statistics have seen a few batches, quantised, in evaluation."""
    torch.manual_seed(8)
    network = ResNet(shape)
    network.mode.quantised = True
    network.train()
    for _ in range(12):
        network(pixels(8, shape.size))
    return network.eval()


def pixels(count, size=32):
    draw = torch.Generator().manual_seed(9)
    x = torch.randint(0, 256, (count, 3, size, size), generator=draw).float()
    return x.contiguous(memory_format=torch.channels_last)


def test_resnet8_is_mlperf_tiny():
    shape = shape_of("resnet8")
    assert shape.channels() == [16, 16, 16, 32, 32, 64, 64]
    network = ResNet(shape)
    assert network.sources == [(0, None), (1, None), (2, 1), (3, None), (4, 3), (5, None), (6, 5)]
    assert [layer.projects for layer in network.layers] == [False] * 4 + [True, False, True]
    assert [layer.identity for layer in network.layers] == [False, False, True] + [False] * 4
    weights = sum(layer.weight.numel() for layer in network.layers)
    assert weights + network.classifier.weight.numel() == 77_360  # MLPerf Tiny's


def test_default_network_of_the_board():
    shape = shape_of("dham8")
    assert len(shape.stages) >= 3 and all(size >= 2 for size in shape.group_sizes)
    assert sum(layer.projects for layer in ResNet(shape).layers) >= 2


@pytest.mark.parametrize(
    "given, expected",
    [
        ((4,), (4,) * 7),
        ((2, 4, 8, 16), (2, 4, 4, 8, 8, 16, 16)),
        ((1, 2, 4, 2, 4, 8, 16), (1, 2, 4, 2, 4, 8, 16)),
    ],
)
def test_group_sizes_for_all_stages_or_layers(given, expected):
    assert shape_of("resnet8", group_sizes=given).group_sizes == expected


def test_groups_by_number():
    assert shape_of("resnet8", groups=(4,)).group_sizes == (4, 4, 4, 8, 8, 16, 16)


def test_width():
    assert shape_of("resnet8", width=32).channels() == [32, 32, 32, 64, 64, 128, 128]


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: shape_of("resnet9"), UserError, "Unknown network resnet9: did you mean resnet8?"),
        (
            lambda: shape_of("resnet8", width=0),
            ValueError,
            "Width must be a positive integer, not 0",
        ),
        (
            lambda: shape_of("resnet8", group_sizes=(3,)),
            ValueError,
            "Group size 3 does not divide 16 channels",
        ),
        (
            lambda: shape_of("resnet8", group_sizes=(4, 4)),
            ValueError,
            r"Give 1 group size, 4 \(stem and stages\) or 7 \(layers\), not 2",
        ),
        (lambda: Shape(16, (Stage(32),), (4, 4)), ValueError, "3 group sizes are needed"),
    ],
)
def test_wrong_shapes(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize(
    "shape",
    [
        shape_of("resnet8", group_sizes=(4, 2, 4, 8), size=16),
        shape_of("resnet8", group_sizes=(1,), order="after", size=8),
        shape_of("resnet8", width=12, group_sizes=(3,), stem_bits=8, classifier_bits=4, size=8),
        shape_of("resnet8", group_sizes=(4,), binary=True, size=8),
        shape_of("dham8", size=16, weight_bits=3, activation_bits=3),
        Shape(
            8, (Stage(8, blocks=2), Stage(16, blocks=2, stride=2)), (2,) * 9, stem_stride=2, size=16
        ),
    ],
    ids=["mixed", "dense-after", "twelve", "binary", "dham8", "deep"],
)
def test_export_equals_the_oracle_level_for_level(shape):
    """Every layer's records and the logits, training model against integers of the file."""
    network = ready(shape)
    integers = export(network, "test")
    validate(integers)
    x = pixels(2, shape.size)
    result = oracle.run(integers, x.permute(0, 2, 3, 1).numpy().astype(np.uint8))
    tensors = [x]
    with torch.no_grad():
        for layer, (source, shortcut), records in zip(
            network.layers, network.sources, result.records, strict=True
        ):
            out = layer(tensors[source], None if shortcut is None else tensors[shortcut])
            dense = oracle.expand(records, layer.group_size)
            assert np.array_equal(out.permute(0, 2, 3, 1).numpy(), dense), layer.name
            tensors.append(out)
        logits = network(x)
    assert any(records.value.any() for records in result.records)
    assert np.array_equal(logits.argmax(1).numpy(), result.decisions)
    unit = float(network.classifier.step()) / (network.classifier.unit * network.classifier.pixels)
    np.testing.assert_allclose(logits.numpy(), result.logits * unit, rtol=1e-5, atol=1e-6)


def test_export_needs_a_quantised_network():
    with pytest.raises(ValueError, match="must be quantised"):
        export(ResNet(shape_of("resnet8")), "test")


def test_every_known_network_has_its_default_group_sizes():
    for name in NETWORKS:
        assert shape_of(name).group_sizes

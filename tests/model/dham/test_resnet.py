"""Networks: shapes, sources, group sizes by ℓ and by c, and that export keeps every level."""

import numpy as np
import pytest
import torch

from model.common.errors import UserError
from model.data.cifar import CLASSES
from model.dham.resnet import ResNet
from model.dham.shapes import NETWORKS, Shape, Stage, shape_of
from model.integers import oracle
from model.network import validate
from model.training.export import export


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


@pytest.mark.parametrize(
    "name, layers, multiplications",
    [
        ("resnet20", 19, 40_812_544),  # 40.55 M with parameter-free shortcuts, and two projections
        ("resnet18", 17, 555_417_600),
        ("resnet34", 33, 1_159_397_376),
        ("resnet50", 49, 1_297_809_408),  # arXiv 2012.01509, table 1, ℓ = 1
    ],
)
def test_networks_of_the_paper_have_their_published_size(name, layers, multiplications):
    """Dense multiplications of the convolutions, padding counted, as peers publish them."""
    convolutions = shape_of(name).convolutions()
    assert len(convolutions) == layers
    found = sum(
        c.output_size**2
        * c.channels
        * (c.inputs * c.kernel**2 + (c.shortcut_channels if c.projects else 0))
        for c in convolutions
    )
    assert found == multiplications


def test_bottlenecks_have_their_stride_in_the_middle():
    shape = shape_of("resnet50", width=4, group_sizes=(1,))
    first = [c for c in shape.convolutions() if c.name.startswith("stage2.block1.")]
    assert [(c.kernel, c.stride, c.channels, c.size) for c in first] == [
        (1, 1, 8, 32),
        (3, 2, 8, 32),
        (1, 1, 32, 16),
    ]
    assert first[2].projects and first[2].shortcut_stride == 2


def test_layers_after_an_addition_may_stay_dense():
    shape = shape_of("resnet50", width=4, group_sizes=(2, 4, 4, 4, 4), dense_sums=True)
    sizes = {c.group_size for c in shape.convolutions() if c.shortcut is not None}
    others = {c.group_size for c in shape.convolutions() if c.shortcut is None}
    assert sizes == {1} and others == {2, 4}


def test_features_are_what_the_classifier_reads():
    network = ready(shape_of("resnet20", width=4, size=16))
    network.mode.quantised = False
    x = pixels(2, 16)
    with torch.no_grad():
        features = network.features(x)
        last = network.activations(x)[-1]
        weights = network.classifier.weight / network.classifier.unit
        logits = features @ weights.T + network.classifier.bias
        assert torch.allclose(network(x), logits, rtol=1e-4, atol=1e-5)
    assert features.shape == (2, 16) and last.shape == (2, 16, 4, 4)


def test_only_what_is_still_read_is_kept():
    """In evaluation, a deep network would otherwise hold every layer's output at once."""
    network = ready(shape_of("resnet20", width=4, size=8))
    x = pixels(2, 8)
    with torch.no_grad():
        kept = network.run(x, keep=False)
        assert [tensor is not None for tensor in kept] == [False] * 19 + [True]
        assert torch.equal(kept[-1], network.activations(x)[-1])
        assert all(tensor is not None for tensor in network.run(x, keep=True))


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
            "^Group size 3 does not divide 16 channels",
        ),
        (
            lambda: shape_of("resnet8", group_sizes=(4, 2, 3, 8)),
            ValueError,
            "^Layer stage2.block1.conv1: Group size 3 does not divide 32 channels",
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
        Shape(
            8,
            (Stage(4, blocks=2, bottleneck=True), Stage(8, stride=2, bottleneck=True)),
            (2, 2, 4, 1, 2, 4, 1, 4, 2, 8),
            size=8,
        ),
    ],
    ids=["mixed", "dense-after", "twelve", "binary", "dham8", "deep", "bottleneck"],
)
def test_export_equals_the_oracle_level_for_level(shape):
    """Every layer's records and the logits, training model against integers of the file."""
    network = ready(shape)
    integers = export(network, "test", CLASSES)
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
        export(ResNet(shape_of("resnet8")), "test", CLASSES)


def test_every_known_network_has_its_default_group_sizes():
    for name in NETWORKS:
        assert shape_of(name).group_sizes


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_step_reads_no_value(quantised, order):
    """Forward and backward on a device without values: a GPU is not waited for."""
    network = ResNet(shape_of("resnet8", group_sizes=(2,), order=order)).to("meta")
    network.mode.quantised = quantised
    network.mode.temperature = None if quantised else 3.0
    images = torch.zeros(2, 3, 32, 32, dtype=torch.bfloat16, device="meta")
    network(images.contiguous(memory_format=torch.channels_last)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())

"""Multiplications: the paper's Table 1 to the last digit, and the true counts beside it."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from model import zoo
from model.common.errors import UserError
from model.dham.resnet import ResNet
from model.dham.shapes import NETWORKS, shape_of
from model.measure import multiplications as module
from model.measure.multiplications import (
    PRINTED,
    layer_counts,
    paper_rows,
    papers_count,
    skeleton,
    total,
)
from model.network import load
from model.network.count import total_multiplications
from sim.networks import random_network

# arXiv 2012.01509, Table 1: ℓ, ResNet-18 on CIFAR-10, ResNet-50 on CIFAR-100.
TABLE_1 = """
 1   5070848  1297809408
 2   3125248   861601792
 4   2152448   643497984
 8   1666048   534446080
16   1422848   479920128
32   1301248   452657152
64   1240448   439025664
"""
ROWS = [tuple(map(int, line.split())) for line in TABLE_1.strip().splitlines()]


@pytest.mark.parametrize("group_size, resnet18, resnet50", ROWS)
def test_table_1(group_size, resnet18, resnet50):
    """Computed from the sizes of the layers: all 14 numbers."""
    assert papers_count("resnet18", group_size) == resnet18
    assert papers_count("resnet50", group_size) == resnet50
    assert PRINTED["resnet18"][group_size] == resnet18
    assert PRINTED["resnet50"][group_size] == resnet50


def test_printed_numbers_are_not_what_is_computed_with(monkeypatch):
    monkeypatch.setattr(module, "PRINTED", {})
    assert papers_count("resnet18", 1) == 5070848
    with pytest.raises(ValueError, match="ℓ = 3 does not divide the paper's count of resnet18"):
        papers_count("resnet18", 3)


def shape(name, **options):
    return shape_of(name, **{"group_sizes": (2,)} | options)


@pytest.mark.parametrize(
    "name, dense",
    [
        ("resnet8", 12_501_632),  # MLPerf Tiny's
        ("resnet20", 40_813_184),  # 40.55 M of the identities' version, and two projections
        ("resnet18", 555_422_720),  # 0.56 G
        ("resnet34", 1_159_402_496),
        ("resnet50", 1_297_829_888),
    ],
)
def test_dense_counts_are_those_that_peers_publish(name, dense):
    assert total(layer_counts(skeleton(shape(name))))["dense"] == dense


@pytest.mark.parametrize("name", NETWORKS)
def test_dense_count_is_what_torch_counts(name):
    """PyTorch's own counter on the network itself, but narrow; two operations a multiplication."""
    sizes = shape(name, classes=7, width=8)
    counts = layer_counts(skeleton(sizes))
    network = ResNet(sizes).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 32, 32))
    assert counter.get_total_flops() == 2 * total(counts)["dense"]
    assert [count.name for count in counts[:-1]] == [layer.name for layer in network.layers]


@pytest.mark.parametrize(
    "file, name, sizes",
    [(f"resnet8-l{n}", "resnet8", (n,)) for n in (1, 2, 4)]
    + [("dham8-up5k", "dham8", (4, 4, 2, 2))],
)
def test_skeleton_is_the_size_of_the_trained_network(file, name, sizes):
    network = load(zoo.find(file))
    made = skeleton(shape_of(name, group_sizes=network_sizes(network) or sizes))
    assert made.tensors == network.tensors
    assert layer_counts(made) == layer_counts(network)
    assert sum(weights_in(made)) == sum(weights_in(network))


def network_sizes(network):
    return tuple(layer.group_size for layer in network.convs)


def weights_in(network):
    for layer in network.layers:
        yield layer.weights.size
        if layer.projection is not None:
            yield layer.projection.weights.size


@pytest.mark.parametrize("seed", range(10))
def test_counts_of_any_network(seed):
    network = random_network(seed)
    counts = layer_counts(network)
    whole = total(counts)
    assert (whole["dense"], whole["dham"]) == total_multiplications(network)
    for layer, count in zip(network.convs, counts, strict=False):
        assert count.dham <= count.dense_inside <= count.dense
        assert count.kernel == layer.weights.shape[1:3] and count.stride == layer.stride
        if count.input_group_size == 1 and layer.projection is None:
            assert count.dham == count.dense_inside
        if layer.projection is None:
            assert count.dham * count.input_group_size == count.dense_inside
        if layer.padding == (0, 0, 0, 0):
            assert count.dense == count.dense_inside


def brute_force(name, group_size, dense_sums):
    """True count of the convolutions, tap by tap, from the description of the layers alone."""
    layers = shape_of(name, group_sizes=(group_size,), dense_sums=dense_sums).convolutions()
    sizes = [1, *(1 if dense_sums and c.shortcut is not None else group_size for c in layers)]
    count = 0
    for c in layers:
        steps = np.arange(c.output_size)[:, None] * c.stride - c.kernel // 2 + np.arange(c.kernel)
        inside = int(((steps >= 0) & (steps < c.size)).sum())
        count += inside**2 * c.inputs // sizes[c.source] * c.channels
        if c.projects:
            count += c.output_size**2 * c.shortcut_channels // sizes[c.shortcut] * c.channels
    return count


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_true_counts_beside_the_papers(name):
    classes = {"resnet18": 10, "resnet50": 100}[name]
    channels = {"resnet18": 512, "resnet50": 2048}[name]
    for row in paper_rows(name):
        assert row.equal and row.papers_count == row.printed == PRINTED[name][row.group_size]
        classifier = 16 * channels * classes
        grouped = brute_force(name, row.group_size, False) + classifier // row.group_size
        assert row.dham == grouped
        assert row.dham_dense_sums == brute_force(name, row.group_size, True) + classifier
        assert row.dense_inside == brute_force(name, 1, False) + channels * classes
        assert row.dham <= row.dham_dense_sums
    assert [row.group_size for row in paper_rows(name)] == [size for size, *_ in ROWS]


def test_dense_after_an_addition_follows_the_paper_but_for_the_stem():
    """Counted with padding, ℓ = 2 differs from Table 1 in what reads the (grouped) stem alone."""
    layers = shape_of("resnet50", group_sizes=(2,), dense_sums=True).convolutions()
    sizes = [1, *(layer.group_size for layer in layers)]
    ours = 0
    for c in layers:
        ours += c.output_size**2 * c.kernel**2 * c.inputs // sizes[c.source] * c.channels
        if c.projects:
            ours += c.output_size**2 * c.shortcut_channels // sizes[c.shortcut] * c.channels
    # stage1.block1: its first convolution and its projection, 64 to 64 and 64 to 256 maps.
    stem = 32 * 32 * 64 * (64 + 256)
    assert papers_count("resnet50", 2) - ours == stem // 2


def test_paper_rows_of_unknown_networks():
    with pytest.raises(UserError, match="not resnet8"):
        paper_rows("resnet8")

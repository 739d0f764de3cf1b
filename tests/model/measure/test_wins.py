"""Counts of wins against a plain loop, from records and from activations."""

import math

import numpy as np
import pytest
import torch

from model.data import cifar
from model.dham.resnet import ResNet
from model.dham.shapes import shape_of
from model.integers import oracle
from model.measure.wins import Wins, count_wins, network_wins, records_of, torch_wins
from tests.model.winners import counted, images, plain, random_records, tiny


def test_counts_equal_a_plain_loop():
    values, winners, labels = random_records()
    counts, silent = count_wins(values, winners, 3, labels, 5)
    expected = plain(values, winners, labels, 3, 5)
    assert counts.dtype == silent.dtype == torch.int64
    assert np.array_equal(counts.numpy(), expected[0])
    assert np.array_equal(silent.numpy(), expected[1])
    assert int(counts.sum() + silent.sum()) == 9 * 9 * 4


def test_batches_add_up():
    wins, counts, silent = counted()
    assert np.array_equal(wins.counts.numpy(), counts)
    assert np.array_equal(wins.silent.numpy(), silent)


@pytest.mark.parametrize("label", [None, 0, 3, 4])
def test_shares_silence_entropy_and_never(label):
    wins, counts, silent = counted()
    counts = counts.sum(0) if label is None else counts[label]
    silent = silent.sum(0) if label is None else silent[label]
    pixels = counts[0].sum() + silent[0]
    assert wins.pixels(label) == pixels and (pixels == 0) == (label == 4)
    never = []
    for group in range(4):
        total = counts[group].sum()
        expected = [n / total if total else 0 for n in counts[group]]
        assert wins.shares(label)[group].tolist() == expected
        entropy = -sum(p * math.log2(p) for p in expected if p)
        assert wins.entropy(label)[group].item() == pytest.approx(entropy, abs=1e-12)
        share = silent[group] / pixels if pixels else 0
        assert wins.silent_share(label)[group].item() == share
        never += [3 * group + k for k in range(3) if counts[group][k] == 0]
    assert wins.never(label) == never and 4 in never
    assert wins.per_map(label).tolist() == counts.flatten().tolist()


def test_entropy_at_its_ends():
    wins = Wins("layer", 4, 3, 1)
    wins.counts += torch.tensor([[[7, 0, 0, 0], [5, 5, 5, 5], [0, 0, 0, 0]]])
    assert wins.entropy().tolist() == [0, 2, 0]


def test_distance_of_two_classes():
    wins = Wins("layer", 2, 2, 2)
    wins.counts += torch.tensor([[[3, 1], [0, 6]], [[1, 3], [0, 9]]])
    assert wins.distance(0, 1).tolist() == [0.5, 0.0]


def test_records_of_activations():
    """The first maximum wins, if it is more than 0."""
    activation = torch.tensor([0.0, 2, 2, -1, -3, -2, 0, 0, 0, 1, 0, 4]).view(1, 12, 1, 1)
    values, winners = records_of(activation, 3)
    assert values.flatten().tolist() == [2, 0, 0, 4]
    assert winners.flatten().tolist() == [1, 0, 0, 2]
    values, winners = records_of(torch.randn(2, 12, 3, 5).bfloat16(), 4)
    assert values.shape == winners.shape == (2, 3, 5, 3)


def test_records_of_expanded_records():
    values, winners, _ = random_records(groups=5, group_size=3)
    dense = torch.zeros(9, 15, 3, 3)
    for image, y, x, group in np.ndindex(*values.shape):
        channel = group * 3 + int(winners[image, y, x, group])
        dense[image, channel, y, x] = float(values[image, y, x, group])
    found = records_of(dense, 3)
    assert torch.equal(found[0].long(), values) and torch.equal(found[1], winners)


@pytest.mark.parametrize(
    "change, text",
    [
        ({"values": torch.zeros(9, 3, 3, 5)}, "Values, winners and labels do not fit"),
        ({"labels": torch.zeros(8, dtype=torch.int64)}, "Values, winners and labels do not fit"),
        ({"labels": torch.full((9,), 5)}, "Labels must be 0 to 4"),
        ({"winners": torch.full((9, 3, 3, 4), 3)}, "Winners must be 0 to 2"),
        ({"winners": torch.full((9, 3, 3, 4), -1)}, "Winners must be 0 to 2"),
    ],
)
def test_wrong_records(change, text):
    values, winners, labels = random_records()
    given = {"values": values, "winners": winners, "labels": labels, **change}
    with pytest.raises(ValueError, match=text):
        count_wins(given["values"], given["winners"], 3, given["labels"], 5)


def test_wrong_activations():
    with pytest.raises(ValueError, match=r"multiple of 4, not \[2, 6, 3, 3\]"):
        records_of(torch.zeros(2, 6, 3, 3), 4)


def test_wins_of_a_network_file():
    network, data, done = tiny(), images(), []
    found = network_wins(network, data, batch=5, advance=done.append)
    records = oracle.run(network, data.pixels.numpy()).records
    assert done == [5, 5, 2]
    assert [(w.name, w.group_size, w.groups, w.classes) for w in found] == [
        ("stem", 3, 2, 10),
        ("a/b", 2, 4, 10),
    ]
    for wins, record in zip(found, records, strict=True):
        expected = plain(record.value, record.winner, data.labels, wins.group_size, 10)
        assert np.array_equal(wins.counts.numpy(), expected[0]) and expected[0].any()
        assert np.array_equal(wins.silent.numpy(), expected[1]) and expected[1].any()
    (only,) = network_wins(network, data, ["a/b"])
    assert torch.equal(only.counts, found[1].counts)


def test_wins_of_a_torch_network():
    """The same activations, dense, give the same counts."""
    network, data, done = tiny(), images(), []

    def activations(pixels):
        outputs = []
        for layer, record in zip(
            network.convs, oracle.run(network, pixels.numpy()).records, strict=True
        ):
            values, winners = torch.from_numpy(record.value), torch.from_numpy(record.winner)
            dense = torch.zeros(*values.shape, layer.group_size)
            dense.scatter_(-1, winners[..., None].long(), values[..., None].float())
            outputs.append(dense.flatten(3).permute(0, 3, 1, 2))
        return outputs

    layers = [("stem", 3), ("a/b", 2)]
    found = torch_wins(activations, layers, data, 10, batch=5, advance=done.append)
    assert done == [5, 5, 2]
    for wins, expected in zip(found, network_wins(network, data), strict=True):
        assert (wins.name, wins.group_size) == (expected.name, expected.group_size)
        assert torch.equal(wins.counts, expected.counts)
        assert torch.equal(wins.silent, expected.silent)


def test_wins_of_the_project_s_own_networks():
    torch.manual_seed(0)
    network, data = ResNet(shape_of("dham8", width=8)).eval(), images(6)

    def activations(pixels):
        return network.activations(cifar.to_input(pixels))

    layers = [(layer.name, layer.group_size) for layer in network.layers]
    found = torch_wins(activations, layers, data, 10)
    with torch.no_grad():
        outputs = activations(data.pixels)
    for wins, output in zip(found, outputs, strict=True):
        _, channels, height, width = output.shape
        assert wins.pixels() == 6 * height * width
        # One map of a group is left, so its wins are its pixels above 0.
        alive = (output > 0).sum((0, 2, 3))
        assert wins.per_map().tolist() == alive.tolist() and len(alive) == channels
        assert int(alive.sum()) > 0

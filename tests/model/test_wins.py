"""Counts of wins against a plain loop, from records and from activations; figures; the program."""

import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.common.errors import run_cli
from model.data import cifar
from model.data.cifar import Images
from model.dham.resnet import ResNet
from model.dham.shapes import shape_of
from model.integers import oracle
from model.measure.wins import Wins, count_wins, network_wins, records_of, torch_wins
from model.measure.wins_figures import classes_figure, layer_figure, write_figure
from model.network import Classifier, Conv, Network, save
from model.wins import main, markdown


def random_records(count=9, size=3, groups=4, group_size=3, classes=5, seed=0):
    """Values, a third of them 0, winners and labels; map 4 never wins, class 4 has no images."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, size, size, groups)
    values = torch.randint(0, 3, shape, generator=generator)
    winners = torch.randint(0, group_size, shape, generator=generator)
    winners[..., 1][winners[..., 1] == 1] = 2
    winners[values == 0] = 0
    labels = torch.randint(0, classes - 1, (count,), generator=generator)
    return values, winners, labels


def plain(values, winners, labels, group_size, classes):
    counts = np.zeros((classes, values.shape[-1], group_size), np.int64)
    silent = np.zeros((classes, values.shape[-1]), np.int64)
    for image, y, x, group in np.ndindex(*values.shape):
        label = int(labels[image])
        if int(values[image, y, x, group]) == 0:
            silent[label, group] += 1
        else:
            counts[label, group, int(winners[image, y, x, group])] += 1
    return counts, silent


def test_counts_equal_a_plain_loop():
    values, winners, labels = random_records()
    counts, silent = count_wins(values, winners, 3, labels, 5)
    expected = plain(values, winners, labels, 3, 5)
    assert counts.dtype == silent.dtype == torch.int64
    assert np.array_equal(counts.numpy(), expected[0])
    assert np.array_equal(silent.numpy(), expected[1])
    assert int(counts.sum() + silent.sum()) == 9 * 9 * 4


def counted(seed=0):
    """`Wins` of random records in batches of 4, and the plain counts."""
    values, winners, labels = random_records(seed=seed)
    wins = Wins("layer", 3, 4, 5)
    for first in range(0, 9, 4):
        part = slice(first, first + 4)
        wins.add(values[part], winners[part], labels[part])
    return wins, *plain(values, winners, labels, 3, 5)


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


# --- networks -------------------------------------------------------------------------------------


def conv(name, source, inputs, channels, group_size, seed):
    rng = np.random.default_rng(seed)
    return Conv(
        name=name,
        source=source,
        weights=rng.integers(-8, 8, (channels, 4, 4, inputs)),
        weight_bits=4,
        stride=4,
        padding=(0, 0, 0, 0),
        bias=rng.integers(-900, 900, channels),
        multiplier=np.full(channels, 100),
        shift=np.full(channels, 16 if source == 0 else 10),
        group_size=group_size,
        activation_bits=4,
    )


def tiny(sizes=(3, 2), classes=cifar.CLASSES):
    """Two convolutions on 32×32 images, of 6 and 8 maps."""
    classifier = Classifier(
        name="classifier",
        source=2,
        weights=np.random.default_rng(5).integers(-8, 8, (len(classes), 8)),
        weight_bits=4,
        bias=np.zeros(len(classes), np.int64),
    )
    first, second = conv("stem", 0, 3, 6, sizes[0], 1), conv("a/b", 1, 6, 8, sizes[1], 2)
    return Network(
        name="tiny", input_shape=(32, 32, 3), layers=(first, second, classifier), classes=classes
    )


def images(count=12):
    rng = np.random.default_rng(4)
    pixels = torch.from_numpy(rng.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8))
    return Images(pixels, torch.arange(count) % 10)


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


# --- figures --------------------------------------------------------------------------------------


def heights(axes):
    return [round(bar.get_height(), 12) for bar in axes.patches if hasattr(bar, "get_height")]


def test_layer_figure_shows_the_sorted_shares():
    wins, *_ = counted()
    figure = layer_figure(wins, "title")
    panels = figure.axes[2:]
    assert len(panels) == 4
    shown = {}
    for axes in panels:
        group = int(axes.get_title().split()[1].rstrip(":"))
        expected = sorted(wins.shares()[group].tolist(), reverse=True)
        assert heights(axes) == [round(share, 12) for share in expected]
        maps = [int(tick.get_text()) for tick in axes.get_xticklabels()]
        shown[group] = [wins.shares()[group, k].item() for k in maps]
        assert shown[group] == expected
    assert sorted(shown) == [0, 1, 2, 3]
    assert "4 groups of ℓ = 3 maps" in figure.get_suptitle()


def test_classes_figure_keeps_the_order_of_the_maps():
    wins, *_ = counted()
    figure = classes_figure(wins, (0, 2), ("cat", "dog"), "title")
    assert [axes.get_title() for axes in figure.axes[:2]] == ["cat", "dog"]
    distances = []
    for axes in figure.axes[2:]:
        group = int(axes.get_title().split()[1].rstrip(":"))
        distances.append(wins.distance(0, 2)[group].item())
        maps = [int(tick.get_text()) for tick in axes.get_xticklabels()]
        both = [wins.shares(label)[group, maps].tolist() for label in (0, 2)]
        assert heights(axes) == [round(share, 12) for share in both[0] + both[1]]
    assert distances == sorted(distances, reverse=True)


def test_many_groups_and_long_groups(tmp_path):
    wins = Wins("wide", 20, 14, 2)
    generator = torch.Generator().manual_seed(1)
    wins.counts += torch.randint(0, 9, wins.counts.shape, generator=generator)
    wins.counts[:, 7] = 0  # a group that never speaks
    figure = classes_figure(wins, (0, 1), ("a", "b"), "title")
    assert len(figure.axes) == 2 + 12
    write_figure(layer_figure(wins, "title"), tmp_path / "wide")
    assert {path.name for path in tmp_path.iterdir()} == {"wide.png", "wide.svg"}


def test_files_are_the_same_twice(tmp_path):
    wins, *_ = counted()
    first = write_figure(layer_figure(wins, "title"), tmp_path / "first.conv1")
    second = write_figure(layer_figure(wins, "title"), tmp_path / "second")
    assert [path.name for path in first] == ["first.conv1.png", "first.conv1.svg"]
    assert first[0].read_bytes().startswith(b"\x89PNG") and b"<svg" in first[1].read_bytes()
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_dense_layers_have_no_figure():
    with pytest.raises(ValueError, match="Layer stem is dense"):
        layer_figure(Wins("stem", 1, 4, 2), "title")


def test_markdown():
    wins = Wins("stem", 2, 2, 2)
    wins.counts += torch.tensor([[[3, 1], [0, 6]], [[1, 3], [0, 2]]])
    wins.silent += torch.tensor([[4, 2], [0, 2]])
    text = markdown([wins], ["a", "b"], "Title.", (0, 1))
    # Pixels: 8 + 4. Group 0: 4 silent, shares 1/2, 1/2; group 1: 4 silent, shares 0, 1.
    assert text.splitlines()[-1] == (
        "| stem | 2 | 2 | 33.3 | 75.0 | 25.0 | 0.50 | 1.00 | 1 of 4 | 25.0 |"
    )
    assert "a against b, %" in text and text.startswith("# Wins\n\nTitle.\n")


# --- the program ----------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with a CIFAR-10 test file of 20 images: classes 0 to 9, twice."""
    monkeypatch.setattr(cifar, "RECORDS", 20)
    raw = np.random.default_rng(1).integers(0, 256, (20, 3073), dtype=np.uint8)
    raw[:, 0] = np.arange(20) % 10
    raw.tofile(tmp_path / "test_batch.bin")
    return tmp_path


def test_program(data, tmp_path, capsys):
    network = save(tiny(), tmp_path / "net.dham")
    folder = tmp_path / "out"
    arguments = [str(tmp_path / "net.dham"), "--data", str(data), "--output", str(folder)]
    assert main([*arguments, "--classes", "cat", "dog", "--limit", "15"]) == 0
    test = cifar.read_test(data)
    test = Images(test.pixels[:15], test.labels[:15])
    expected = network_wins(network, test)
    rows = [json.loads(line) for line in (folder / "wins.jsonl").read_text().splitlines()]
    assert len(rows) == 2 * 11
    for wins, part in zip(expected, (rows[:11], rows[11:]), strict=True):
        assert [row["class"] for row in part] == [None, *cifar.CLASSES]
        for label, row in zip((None, *range(10)), part, strict=True):
            assert row["sha256"] == network.sha256 and row["images"] == 15
            assert (row["layer"], row["group_size"]) == (wins.name, wins.group_size)
            assert [n for group in row["wins"] for n in group] == wins.per_map(label).tolist()
            counts = wins.silent.sum(0) if label is None else wins.silent[label]
            assert row["silent"] == counts.tolist() and row["pixels"] == wins.pixels(label)
            assert row["never"] == wins.never(label)
            assert row["entropy_bits"] == wins.entropy(label).tolist()
    text = (folder / "wins.md").read_text()
    assert "tiny, 15 test images of CIFAR-10" in text and "cat against dog, %" in text
    figures = {f"{stem}{pair}.{kind}" for stem in ("stem", "a_b") for pair in ("", ".cat-dog")
               for kind in ("png", "svg")}  # fmt: skip
    assert {path.name for path in folder.iterdir()} == {"wins.jsonl", "wins.md", *figures}
    out = capsys.readouterr().out
    assert "| a/b | 2 | 4 |" in out and "figures of 2 layers" in out


def test_program_of_one_layer_and_of_dense_layers(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tiny((1, 2)), tmp_path / "net.dham")
    assert main(["net.dham", "--data", str(data), "--layer", "a/b"]) == 0
    assert {path.name for path in (tmp_path / "build/wins/tiny").iterdir()} == {
        "wins.jsonl", "wins.md", "a_b.png", "a_b.svg"
    }  # fmt: skip
    save(tiny((1, 1)), tmp_path / "net.dham")
    assert main(["net.dham", "--data", str(data), "--output", "dense"]) == 0
    assert {path.name for path in (tmp_path / "dense").iterdir()} == {"wins.jsonl", "wins.md"}
    assert "figures of 0 layers" in capsys.readouterr().out


def test_bad_input(data, tmp_path, monkeypatch, capsys):
    path = tmp_path / "net.dham"
    save(tiny((1, 2)), path)

    def refused(*arguments):
        monkeypatch.setattr(sys, "argv", ["wins", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            run_cli(main)()
        captured = capsys.readouterr()
        assert caught.value.code == 2 and captured.out == ""
        return captured.err.splitlines()[-1]

    good = (path, "--data", data, "--output", tmp_path / "out")
    assert "--limit must be a positive integer, not 0" in refused(*good, "--limit", 0)
    assert "Class 'dgo': did you mean dog?" in refused(*good, "--classes", "cat", "dgo")
    assert "two different classes, not cat twice" in refused(*good, "--classes", "cat", "cat")
    assert "No dog is among the first 4 test images" in refused(
        *good, "--classes", "cat", "dog", "--limit", 4
    )
    assert "Layer stem is dense (ℓ = 1)" in refused(*good, "--layer", "stem")
    assert "Data folder" in refused(path, "--data", tmp_path / "none")
    assert not (tmp_path / "out").exists()
    assert "Layer 'a/c': did you mean a/b?" in refused(*good, "--layer", "a/c")
    (tmp_path / "file").write_text("")
    assert "--output: nothing can be written into the folder" in refused(
        path, "--data", data, "--output", tmp_path / "file"
    )
    assert "--output needs the name of a folder, not ''" in refused(
        path, "--data", data, "--output", ""
    )
    save(replace(tiny(), input_shape=(64, 64, 3)), path)
    assert "takes images of 64x64x3, 8 bits; those of CIFAR are 32x32x3" in refused(*good)
    save(tiny(classes=("a", "b")), path)
    assert "The 2 classes are not those of a known data set" in refused(*good)

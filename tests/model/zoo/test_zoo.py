"""The networks that come with the project are sound, small, and described by their table."""

import json

import pytest

from model import zoo
from model.network import load
from model.zoo.__main__ import FOLDER, main

NETWORKS = {name: load(zoo.find(name)) for name in zoo.names()}


def test_table_is_up_to_date():
    assert main(["--check"]) == 0


def test_total_size():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.dham")) < 2_000_000


def test_resnet8_with_three_group_sizes_by_the_same_recipe():
    found = {size: NETWORKS[f"resnet8-l{size}"] for size in (1, 2, 4)}
    for size, network in found.items():
        assert {layer.group_size for layer in network.convs} == {size}
        assert [layer.channels for layer in network.convs] == [16, 16, 16, 32, 32, 64, 64]
    for fact in ("epochs", "recipe", "seed"):
        assert len({network.metadata[fact] for network in found.values()}) == 1


def test_default_network():
    network = NETWORKS[zoo.DEFAULT]
    assert network.metadata["top1"] >= 85.0
    assert all(layer.group_size >= 2 for layer in network.convs)
    assert sum(layer.projection is not None for layer in network.convs) >= 2
    shortcuts = [layer.projection or layer.identity for layer in network.convs]
    assert sum(shortcut is not None for shortcut in shortcuts) >= 3


@pytest.mark.parametrize("name", NETWORKS)
def test_metadata(name):
    facts = NETWORKS[name].metadata
    assert facts["test_images"] == 10_000 and facts["agreement"] >= 99.9
    assert facts["command"].startswith("python -m model.train ")
    for key in ("seed", "epochs", "hardware", "float_top1", "top1"):
        assert key in facts


@pytest.mark.parametrize("path", sorted((FOLDER / "logs").glob("*.jsonl")), ids=lambda p: p.stem)
def test_log(path):
    """It is that of the training whose network the file is."""
    epochs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    facts = NETWORKS[path.stem].metadata
    assert [epoch["epoch"] for epoch in epochs] == list(range(1, facts["epochs"] + 1))
    assert epochs[-1]["quantised"]
    assert round(epochs[-1]["validation"], 2) == facts["validation_top1"]

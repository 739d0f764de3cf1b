"""A file made from the documents alone is read, and means the same to everyone."""

import ast
from pathlib import Path

import numpy as np
import pytest

from model.integers import oracle, reference
from model.integers.golden import differences
from model.network import load, record_digest, save
from tests import independent_writer


@pytest.fixture(params=range(4), ids="seed {}".format)
def network(request, tmp_path):
    independent_writer.write(tmp_path / "network.dham", request.param)
    return load(tmp_path / "network.dham")


def test_it_knows_nothing_of_this_project():
    tree = ast.parse(Path(independent_writer.__file__).read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported == {"hashlib", "json", "struct", "pathlib", "numpy"}


def test_it_mixes_all_that_the_format_has(network):
    convs = network.convs
    assert {layer.group_size for layer in convs} == {2, 3, 4, 5, 8}
    assert {layer.weight_bits for layer in network.layers} == {1, 2, 3, 4, 8}
    assert {layer.stride for layer in convs} == {1, 2}
    assert {layer.order for layer in convs} == {"after", "before"}
    assert {layer.binary for layer in convs} == {True, False}
    assert any(layer.padding[0] != layer.padding[1] for layer in convs)
    assert any(layer.padding[2] != layer.padding[3] for layer in convs)
    assert any(layer.projection is not None for layer in convs)
    assert any(layer.identity is not None for layer in convs)


def test_three_arithmetics_agree(network):
    golden = network.golden
    expected = oracle.run(network, golden.images)
    actual = reference.run(network, golden.images)
    for layer, ours, theirs in zip(network.convs, actual.records, expected.records, strict=True):
        np.testing.assert_array_equal(ours.value, theirs.value, err_msg=layer.name)
        np.testing.assert_array_equal(ours.winner, theirs.winner, err_msg=layer.name)
        assert len(np.unique(ours.value)) > (1 if layer.binary else 2), layer.name
    np.testing.assert_array_equal(actual.logits, expected.logits)
    # The file's golden vectors are by the writer's own arithmetic.
    np.testing.assert_array_equal(golden.logits, expected.logits)
    for frame, digests in enumerate(golden.digests):
        for records, digest in zip(expected.records, digests, strict=True):
            assert record_digest(records.value[frame], records.winner[frame]) == digest
    assert differences(network) == []


def test_it_survives_a_round_trip(network, tmp_path):
    save(network, tmp_path / "again.dham")
    again = load(tmp_path / "again.dham")
    assert again.accumulator_bits == network.accumulator_bits
    assert differences(again) == []

"""The benchmark of relevance: what maps are worth, what their removal costs, wrong options."""

import json

import numpy as np
import pytest

from benchmarks.relevance import CRITERIA, lost, main, measure, worth
from firmware.drawings import drawings
from model import zoo
from model.explain.attribution import explain
from model.integers import oracle
from model.network import load
from tests.model.programs import refusal

NETWORK = load(zoo.find(zoo.DEFAULT))
IMAGES = np.stack([np.frombuffer(raw, np.uint8) for raw in drawings(NETWORK)[:2]]).reshape(
    2, *NETWORK.input_shape
)


def test_what_a_map_is_worth():
    explanation = explain(NETWORK, IMAGES[0])
    found = worth(explanation, 2, np.random.default_rng(0))
    records = oracle.run(NETWORK, IMAGES[:1]).records[2]
    dense = oracle.expand(records, NETWORK.convs[2].group_size)[0]
    assert found["activity"].tolist() == dense.sum((0, 1)).tolist()
    assert found["relevance"].sum() == pytest.approx(
        explanation.targets[-1].tensors[3].records.sum()
    )


def test_what_is_lost():
    """Nothing with maps that never win; more with those of most relevance than with the least."""
    explanation = explain(NETWORK, IMAGES[0])
    tried = 0
    for layer in range(len(NETWORK.convs)):
        silent = worth(explanation, layer, np.random.default_rng(0))["activity"] == 0
        if silent.sum() >= round(0.1 * len(silent)):
            assert lost(explanation, layer, silent.astype(float)) == 0
            tried += 1
    assert tried
    last = len(NETWORK.convs) - 1
    most = explanation.targets[-1].tensors[last + 1].maps
    assert lost(explanation, last, most) > lost(explanation, last, -most)


def test_medians():
    rows = measure(NETWORK, IMAGES, seed=0)
    assert [row["layer"] for row in rows] == [conv.name for conv in NETWORK.convs]
    assert rows == measure(NETWORK, IMAGES, seed=0)
    other = measure(NETWORK, IMAGES, seed=1)
    for row, again in zip(rows, other, strict=True):
        assert row["relevance"] == again["relevance"]
    assert any(row["random"] != again["random"] for row, again in zip(rows, other, strict=True))


def test_program(tmp_path, capsys):
    planes = np.random.default_rng(1).integers(0, 256, (10_000, 3073), dtype=np.uint8)
    planes[:, 0] %= 10
    planes.tofile(tmp_path / "test_batch.bin")
    assert main(["--data", str(tmp_path), "--images", "1", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["layers"]) == len(NETWORK.convs)
    assert all(set(CRITERIA) < set(row) for row in facts["layers"])


def test_wrong_options(monkeypatch, capsys, tmp_path):
    text = refusal(main, ["--data", str(tmp_path), "--images", "0"], monkeypatch, capsys)
    assert "--images must be a positive integer, not 0" in text

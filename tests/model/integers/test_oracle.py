"""The oracle: single rules on hand-made numbers, and the documented worked example."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from model.integers import oracle
from model.integers.reference import run as run_reference
from model.network import (
    Classifier,
    Conv,
    Identity,
    Network,
    Projection,
    accumulator_bound,
    validate,
)
from model.network.count import multiplications

DOCUMENT = Path(__file__).parents[3] / "docs" / "arithmetic.md"


def worked_example():
    """(network, image [1, H, W, C], stated results) of docs/arithmetic.md."""
    block = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    facts = json.loads(block[1])

    def conv(name, source, **more):
        values = {
            key: np.array(facts[name][key]) for key in ("weights", "bias", "multiplier", "shift")
        }
        return Conv(
            name=name,
            source=source,
            weight_bits=3,
            stride=1,
            group_size=2,
            activation_bits=4,
            **values,
            **more,
        )

    second = facts["second"]
    network = Network(
        name="worked example",
        input_shape=(2, 2, 1),
        classes=("0", "1"),
        layers=(
            conv("first", 0, padding=(0, 0, 0, 0)),
            conv(
                "second",
                1,
                padding=(0, 1, 1, 0),
                order="before",
                projection=Projection(
                    source=0,
                    stride=1,
                    exponent=second["exponent"],
                    weights=np.array(second["projection"]),
                ),
                identity=Identity(source=1, factor=np.array(second["factor"])),
            ),
            Classifier(
                name="classifier",
                source=2,
                weights=np.array(facts["classifier"]["weights"]),
                weight_bits=3,
                bias=np.array(facts["classifier"]["bias"]),
            ),
        ),
    )
    return network, np.array([facts["image"]], np.uint8), facts["results"]


@pytest.mark.parametrize("run", [oracle.run, run_reference], ids=["oracle", "reference"])
def test_documented_example(run):
    network, image, expected = worked_example()
    validate(network)
    result = run(network, image)
    for index, name in enumerate(("first", "second")):
        assert result.records[index].value[0].tolist() == expected[f"{name} value"]
        assert result.records[index].winner[0].tolist() == expected[f"{name} winner"]
    assert result.logits.tolist() == [expected["logits"]]
    assert result.decisions.tolist() == [1]


def test_documented_sums_bounds_and_counts():
    network, image, expected = worked_example()
    tensors = [oracle.Records(image.astype(np.int64), np.zeros(image.shape, np.int64))]
    for layer in network.convs:
        assert oracle.accumulate(layer, tensors)[0].tolist() == expected[f"{layer.name} S"]
        tensors.append(oracle.convolve(layer, tensors))
    shapes = network.tensors
    bounds = [list(accumulator_bound(layer, shapes)) for layer in network.layers]
    assert bounds == expected["accumulator_bounds"]
    assert network.accumulator_bits == expected["accumulator_bits"]
    counts = [list(multiplications(layer, shapes)) for layer in network.layers]
    assert counts == expected["multiplications"]


@pytest.mark.parametrize(
    "total, multiplier, shift, bits, expected",
    [
        (1, 1, 1, 4, 1),  # a half rounds up
        (-1, 1, 1, 4, 0),  # and so does a negative one: -0.5 becomes 0
        (3, 1, 2, 4, 1),
        (1, 1, 2, 4, 0),
        (-5, 3, 2, 4, 0),  # clamped below
        (15, 1, 1, 3, 7),  # clamped above
        (29, 1, 1, 4, 15),
        (28, 1, 1, 4, 14),
        (2**31 - 1, 2**31 - 1, 62, 8, 1),  # 64 bits hold the widest product
        (-(2**31), 2**31 - 1, 62, 8, 0),
    ],
)
def test_requantise(total, multiplier, shift, bits, expected):
    assert oracle.requantise(np.array([total]), multiplier, shift, bits).tolist() == [expected]


def test_first_maximum_wins():
    key = np.array([[3, 3, 1, 0, 2, 2], [0, 0, 0, -5, -5, -6]])
    records = oracle.winner_takes_all(key, np.maximum(key, 0), 3)
    assert records.value.tolist() == [[3, 2], [0, 0]]
    assert records.winner.tolist() == [[0, 1], [0, 0]]


def test_value_of_zero_has_winner_zero():
    key = np.array([[-9, -3]])  # order `before`: the second wins, but its value is 0
    records = oracle.winner_takes_all(key, np.zeros_like(key), 2)
    assert (records.value.item(), records.winner.item()) == (0, 0)


def test_expand_inverts_winner_takes_all():
    rng = np.random.default_rng(0)
    dense = rng.integers(0, 5, (2, 3, 4, 12))
    records = oracle.winner_takes_all(dense, dense, 4)
    again = oracle.expand(records, 4)
    assert again.shape == dense.shape
    groups = dense.reshape(2, 3, 4, 3, 4)
    assert (again.sum(axis=-1) == groups.max(axis=-1).sum(axis=-1)).all()
    assert (oracle.winner_takes_all(again, again, 4).winner == records.winner).all()


def test_classical_memory_retrieves_an_erased_part():
    """W = max_i(y_i x_i^T), binary: a part erased from x is a record of value 0."""
    rng = np.random.default_rng(1)
    parts, size, stored = 4, 8, 5
    x = rng.integers(0, size, (stored, parts))
    y = rng.integers(0, size, (stored, parts))
    weights = np.zeros((parts * size, 1, 1, parts * size), np.int64)
    for one, other in zip(x, y, strict=True):
        for index in range(parts):
            weights[index * size + one[index], 0, 0, np.arange(parts) * size + other] = 1
    memory = Conv(
        name="memory",
        source=0,
        weights=weights.transpose(3, 1, 2, 0),
        weight_bits=1,
        stride=1,
        padding=(0, 0, 0, 0),
        bias=np.zeros(parts * size, np.int64),
        multiplier=np.full(parts * size, 2),
        shift=np.ones(parts * size, np.int64),
        group_size=size,
        activation_bits=4,
        order="before",
        binary=True,
    )
    value = np.ones((stored, 1, 1, parts), np.int64)
    value[:, 0, 0, 2] = 0
    winner = np.where(value > 0, x[:, None, None, :], 0)
    found = oracle.convolve(memory, [oracle.Records(value, winner)])
    assert (found.winner[:, 0, 0] == y).all()
    assert (found.value == 1).all()


def test_wrong_image_shape():
    network, image, _ = worked_example()
    with pytest.raises(ValueError, match=r"Images must be \[N, \(2, 2, 1\)\], not \(1, 2, 1, 1\)"):
        oracle.run(network, image[:, :, :1])

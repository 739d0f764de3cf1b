"""The nearest class mean in integers: the rule, the smallest exponent, what rounding may do."""

from dataclasses import replace
from fractions import Fraction
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.integers import oracle
from model.integers.nearest_mean import learn, most_images
from model.network import accumulator_bound, signed_bits, validate
from sim.networks import images_for, random_network

HARDWARE = {"bias_bits": 20, "accumulator_bits": 21}


def plain(sums, counts, exponent):
    """M, w, q, b of the module's docstring, for one exponent, by Python's integers."""
    means = [
        [(16 * one + count // 2) // count for one in row]
        for row, count in zip(sums, counts, strict=True)
    ]
    weights = [[(one + (8 << exponent)) >> (exponent + 4) for one in row] for row in means]
    squares = [sum(one * one for one in row) for row in weights]
    return weights, [-((one << exponent) >> 1) for one in squares]


def allowed(weights, bias, reach, group, bias_bits, accumulator_bits):
    largest = max(
        reach * sum(max(row[first : first + group]) for first in range(0, len(row), group))
        for row in weights
    )
    return (
        max(map(max, weights)) <= 127
        and min(bias) >= -(2 ** (bias_bits - 1)) + 1
        and largest <= 2 ** (accumulator_bits - 1) - 1
    )


@st.composite
def learned(draw):
    """Sums and counts of a few classes, and the hardware that they are learned for."""
    group = draw(st.integers(1, 4))
    features = group * draw(st.integers(1, 8))
    reach = draw(st.sampled_from([1, 15, 240, 960, 65280]))
    counts = draw(st.lists(st.integers(1, min(2000, most_images(reach))), min_size=1, max_size=5))
    seed, spread = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([0, 1, 5, 100]))
    rng = np.random.default_rng(seed)
    shares = rng.random((len(counts), features)) ** spread
    sums = np.floor(shares * reach * np.array(counts)[:, None]).astype(np.int64)
    widths = {
        "bias_bits": draw(st.integers(8, 22)),
        "accumulator_bits": draw(st.integers(8, 32)),
    }
    return sums, np.array(counts), {"reach": reach, "group_size": group, **widths}


def test_by_hand():
    """M = [[160, 8], [43, 96]], so w = [[10, 1], [3, 6]] at e = 0: 0.5 becomes 1."""
    found = learn(
        np.array([[20, 1], [8, 18]]),
        np.array([2, 3]),
        reach=15,
        group_size=1,
        **HARDWARE,
    )
    assert found.exponent == 0
    assert found.weights.tolist() == [[10, 1], [3, 6]]
    assert found.bias.tolist() == [-50, -22]  # 101 / 2 and 45 / 2, rounded down
    assert found.logits(np.array([[1, 2], [7, 0]])).tolist() == [[-38, -7], [20, -1]]
    assert found.decide(np.array([[1, 2], [7, 0]])).tolist() == [1, 0]


def test_scaled_by_hand():
    """Means of 200 need e = 1: w = 100, and 3 / 2 becomes 2."""
    found = learn(np.array([[200, 3]]), np.array([1]), reach=240, group_size=2, **HARDWARE)
    assert found.exponent == 1
    assert found.weights.tolist() == [[100, 2]]
    assert found.bias.tolist() == [-10004]


@given(case=learned())
def test_equals_the_rule(case):
    sums, counts, hardware = case
    found = learn(sums, counts, **hardware)
    rule = plain(sums.tolist(), counts.tolist(), found.exponent)
    assert (found.weights.tolist(), found.bias.tolist()) == rule
    limits = [hardware[key] for key in ("reach", "group_size", "bias_bits", "accumulator_bits")]
    assert allowed(*rule, *limits)
    for smaller in range(found.exponent):
        assert not allowed(*plain(sums.tolist(), counts.tolist(), smaller), *limits)


@given(case=learned())
def test_32_bits_suffice(case):
    """For the firmware: unsigned, as long as w is tested before q is computed."""
    sums, counts, hardware = case
    exponent = learn(sums, counts, **hardware).exponent
    assert int((16 * sums + counts[:, None] // 2).max()) < 2**32
    for smaller in range(exponent + 1):
        weights, bias = plain(sums.tolist(), counts.tolist(), smaller)
        if max(map(max, weights)) <= 127:
            assert -2 * min(bias) < 2**32
            assert hardware["reach"] * 127 * sums.shape[1] // hardware["group_size"] < 2**32


@given(case=learned(), seed=st.integers(0, 2**32 - 1))
def test_decision_is_almost_nearest(case, seed):
    """No further than the docstring says, by exact fractions."""
    sums, counts, hardware = case
    found = learn(sums, counts, **hardware)
    features = np.random.default_rng(seed).integers(0, hardware["reach"] + 1, sums.shape[1])
    chosen = int(found.decide(features[None])[0])
    squares = [
        sum((int(f) - Fraction(int(s), int(n))) ** 2 for f, s in zip(features, row, strict=True))
        for row, n in zip(sums, counts, strict=True)
    ]
    rounding = 2.0 ** (found.exponent - 1) + 1 / 32
    slack = 2 * sqrt(sums.shape[1]) * rounding + (found.exponent == 0)
    assert sqrt(squares[chosen]) <= (sqrt(min(squares)) + slack) * (1 + 1e-12)


def test_wide_means_are_decided_exactly():
    """Whole numbers of at most 127 are not rounded at all: the nearest, ties to the lowest."""
    rng = np.random.default_rng(3)
    means = rng.integers(0, 60, (6, 12)) * 2  # even, so that q is
    found = learn(means * 7, np.full(6, 7), reach=120, group_size=3, **HARDWARE)
    assert found.exponent == 0 and (found.weights == means).all()
    features = np.concatenate([rng.integers(0, 121, (500, 12)), (means[2:3] + means[4:5]) // 2])
    distances = ((features[:, None] - means) ** 2).sum(axis=2)
    assert (found.decide(features) == distances.argmin(axis=1)).all()


def test_same_class_twice_is_decided_for_the_first():
    sums = np.array([[9, 1], [4, 4], [4, 4]])
    found = learn(sums, np.ones(3, int), reach=9, group_size=1, **HARDWARE)
    assert found.decide(np.array([[4, 4], [9, 0]])).tolist() == [1, 0]


@pytest.mark.parametrize("seed", range(8))
def test_as_a_networks_last_layer(seed):
    """The oracle's logits with it are the module's; the file's own bound fits the accumulator."""
    network = random_network(seed)
    source = network.tensors[network.classifier.source]
    images = images_for(network, seed, 6)
    records = oracle.run(network, images).records[network.classifier.source - 1]
    features = oracle.expand(records, source.group_size).sum(axis=(1, 2))
    found = learn(
        np.stack([features[:2].sum(axis=0), features[2:5].sum(axis=0)]),
        np.array([2, 3]),
        reach=source.pixels * source.maximum,
        group_size=source.group_size,
        **HARDWARE,
    )
    layer = found.classifier(network.classifier, 16)
    made = replace(
        network, layers=(*network.convs, layer), classes=tuple(map(str, range(16))), golden=None
    )
    validate(made)
    result = oracle.run(made, images)
    assert (result.logits[:, :2] == found.logits(features)).all()
    assert (result.decisions == found.decide(features)).all()
    assert (result.logits[:, 2:] == -(2**19)).all()
    assert (result.logits[:, :2] > -(2**19)).all()
    assert signed_bits(*accumulator_bound(layer, made.tensors)) <= 21


def test_unlearned_classes_never_win():
    """Not even against the most negative bias that a learned class may have."""
    network = random_network(0)
    features = network.classifier.weights.shape[1]
    sums = np.zeros((1, features), int)
    sums[0, :1] = 300
    found = learn(sums, [1], reach=960, group_size=1, bias_bits=15, accumulator_bits=24)
    assert found.bias[0] > -(2**14)
    layer = found.classifier(network.classifier, 3)
    assert (layer.weights[1:] == 0).all() and (layer.bias[1:] == -(2**14)).all()


def test_most_images():
    for reach in (1, 240, 960, 65280):
        count = most_images(reach)
        assert 16 * count * reach + count // 2 < 2**32
        assert 16 * (count + 1) * reach + count + 1 >= 2**32
    assert most_images(240) == 1118189


ONE = {"reach": 15, "group_size": 1, **HARDWARE}
WRONG = [
    ([[1.0]], [1], {}, TypeError, "Sums must be integers, not float64"),
    ([[1]], [1.0], {}, TypeError, "Counts must be integers, not float64"),
    ([1], [1], {}, ValueError, "Sums must have 2 dimensions, not 1"),
    ([[1]], [[1]], {}, ValueError, "Counts must have 1 dimensions, not 2"),
    ([[1], [2]], [1], {}, ValueError, "Sums of 2 classes need as many counts, not 1"),
    ([[1, 2, 3]], [1], {"group_size": 2}, ValueError, "Groups of 2 do not divide 3 features"),
    ([[1]], [1], {"group_size": 0}, ValueError, "Groups of 0 do not divide 1 features"),
    ([[1]], [1], {"reach": 0}, ValueError, "Reach must be positive, and widths 2 bits or more"),
    ([[1]], [1], {"bias_bits": 1}, ValueError, "Reach must be positive, and widths 2 bits or more"),
    ([[1]], [0], {}, ValueError, "A class must have 1 to 17821441 images, not [0]"),
    ([[1]], [2**25], {}, ValueError, "A class must have 1 to 17821441 images, not [33554432]"),
    ([[31]], [2], {}, ValueError, "Sums must be 0 to 15 an image"),
    ([[-1]], [2], {}, ValueError, "Sums must be 0 to 15 an image"),
]


@pytest.mark.parametrize("sums, counts, changes, error, text", WRONG)
def test_wrong_input(sums, counts, changes, error, text):
    with pytest.raises(error) as caught:
        learn(np.array(sums), np.array(counts), **(ONE | changes))
    assert str(caught.value) == text


def test_wrong_classifier():
    network = random_network(0)
    found = learn(np.array([[1, 2], [2, 1]]), np.array([1, 1]), **ONE)
    count = network.classifier.weights.shape[1]
    with pytest.raises(ValueError) as caught:
        found.classifier(network.classifier)
    assert str(caught.value) == f"The classifier reads {count} features, learned were 2"
    like = replace(network.classifier, weights=np.zeros((3, 2), int))
    with pytest.raises(ValueError) as caught:
        found.classifier(like, 1)
    assert str(caught.value) == "2 classes do not fit into 1"
    assert found.classifier(like).weights.tolist() == found.weights.tolist()
    with pytest.raises(TypeError) as caught:
        found.decide(np.array([[1.0, 2.0]]))
    assert str(caught.value) == "Features must be integers, not float64"

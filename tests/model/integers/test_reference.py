"""The torch reference equals the numpy oracle, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.integers import oracle, reference
from model.network import Classifier, Conv, Network, accumulator_bound, validate
from sim.networks import Limits, images_for, random_network
from tests.networks import networks


def assert_equal(network, images, batch=reference.BATCH):
    expected = oracle.run(network, images)
    actual = reference.run(network, images, batch)
    assert len(actual.records) == len(network.convs)
    for layer, ours, theirs in zip(network.convs, actual.records, expected.records, strict=True):
        for part in ("value", "winner"):
            one, other = getattr(ours, part), getattr(theirs, part)
            assert one.shape == other.shape and one.dtype == np.int64
            where = np.argwhere(one != other)
            assert len(where) == 0, (
                f"{network.name}, {layer.name}, {part}: first at [n, y, x, g] = {where[0]}, "
                f"expected {other[tuple(where[0])]}, actual {one[tuple(where[0])]}"
            )
    assert actual.logits.dtype == np.int64
    np.testing.assert_array_equal(actual.logits, expected.logits)
    np.testing.assert_array_equal(actual.decisions, expected.decisions)


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_equals_oracle_on_seeded_networks(first):
    for seed in range(first, first + 20):
        network = random_network(seed)
        assert_equal(network, images_for(network, seed))


WIDE = Limits(
    activation_bits=8, winner_bits=5, accumulator_bits=32, bias_bits=31, scaled_weight_bits=12
)


@settings(deadline=None, max_examples=60)
@given(network=networks(), seed=st.integers(0, 2**16))
def test_equals_oracle_on_drawn_networks(network, seed):
    assert_equal(network, images_for(network, seed))


@settings(deadline=None, max_examples=60)
@given(network=networks(WIDE), seed=st.integers(0, 2**16))
def test_equals_oracle_on_networks_wider_than_the_hardware(network, seed):
    assert_equal(network, images_for(network, seed))


def single(weights, *, bias=0, multiplier=1, shift=1, group_size=1, order="after", bits=8):
    """One convolution over the whole image, so that S is a sum that a test controls."""
    channels = len(weights)
    conv = Conv(
        name="conv",
        source=0,
        weights=weights,
        weight_bits=8,
        stride=1,
        padding=(0, 0, 0, 0),
        bias=np.full(channels, bias),
        multiplier=np.full(channels, multiplier),
        shift=np.full(channels, shift),
        group_size=group_size,
        activation_bits=bits,
        order=order,
    )
    classifier = Classifier(
        name="end",
        source=1,
        weights=np.eye(channels, dtype=np.int64),
        weight_bits=2,
        bias=np.zeros(channels, np.int64),
    )
    network = Network(
        name="single",
        input_shape=(weights.shape[1], weights.shape[2], weights.shape[3]),
        layers=(conv, classifier),
        classes=tuple(map(str, range(channels))),
    )
    validate(network)
    return network


def test_exact_beyond_float32():
    """Sums above 2^24 whose last bit decides: float32 would lose it."""
    weights = np.full((2, 8, 8, 16), 127)
    weights[1, 0, 0, 0] = 126
    network = single(
        weights, bias=-(127 * 255 * 1024 - 1), multiplier=2, shift=1, group_size=2, order="before"
    )
    low, high = accumulator_bound(network.convs[0], network.tensors)
    assert max(-low, high) > 2**24
    image = np.full((1, 8, 8, 16), 255, np.uint8)
    image[0, 0, 0, 0] = 1
    assert_equal(network, image)
    image[0, 0, 0, 0] = 255
    assert_equal(network, image)
    assert reference.run(network, image).records[0].value.item() == 1


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("group_size", [1, 2, 3, 4, 6, 12])
def test_ties_go_to_the_lowest_index(order, group_size):
    network = single(np.ones((12, 1, 1, 1), int), multiplier=2, group_size=group_size, order=order)
    result = reference.run(network, np.array([[[[9]]]], np.uint8))
    assert (result.records[0].winner == 0).all()
    assert (result.records[0].value == 9).all()
    assert result.decisions.item() == 0


def test_class_is_the_lowest_index_of_the_maximum():
    weights = np.array([1, 2, 2, -1]).reshape(4, 1, 1, 1)
    network = single(weights, multiplier=2)
    result = reference.run(network, np.array([[[[9]]]], np.uint8))
    assert result.logits.tolist() == [[9, 18, 18, 0]]
    assert result.decisions.tolist() == [1]


def test_orders_differ_where_the_clamp_ties():
    weights = np.array([[[[2]]], [[[3]]]])
    image = np.array([[[[200]]]], np.uint8)
    winners = {}
    for order in ("after", "before"):
        network = single(weights, multiplier=2, group_size=2, order=order)
        winners[order] = reference.run(network, image).records[0].winner.item()
    assert winners == {"after": 0, "before": 1}


def test_batches_do_not_matter():
    network = random_network(5)
    images = images_for(network, 5, count=7)
    for batch in (1, 3, 7, 100):
        assert_equal(network, images, batch)
        expected = oracle.run(network, images).logits
        counted = []
        actual = reference.logits(network, images, batch, counted.append)
        np.testing.assert_array_equal(actual, expected)
        assert sum(counted) == 7


def test_no_frames():
    network = random_network(1)
    result = reference.run(network, np.zeros((0, *network.input_shape), np.uint8))
    assert result.logits.shape == (0, len(network.classes))


def test_wrong_images():
    network = single(np.ones((2, 1, 1, 3), int))
    with pytest.raises(
        ValueError, match=r"Images must be uint8 \[N, 1, 1, 3\], not int64 \[1, 1, 1, 3\]"
    ):
        reference.run(network, np.zeros((1, 1, 1, 3), np.int64))
    with pytest.raises(ValueError, match=r"not uint8 \[1, 1, 3\]"):
        reference.run(network, np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(ValueError, match="Batch must be a positive integer, not 0"):
        reference.run(network, np.zeros((1, 1, 1, 3), np.uint8), batch=0)

"""Golden vectors: right, chosen for coverage, reproducible; and what finds a wrong one."""

from dataclasses import replace

import numpy as np
import pytest

from model.integers import oracle
from model.integers.golden import attach_golden, candidates, differences
from model.network import record_digest, validate
from sim.networks import random_network


@pytest.fixture(scope="module")
def network():
    return attach_golden(random_network(7))


def test_vectors_are_those_of_the_oracle(network):
    validate(network)
    golden = network.golden
    assert 4 <= len(golden.images) <= 8
    result = oracle.run(network, golden.images)
    np.testing.assert_array_equal(result.logits, golden.logits)
    for frame, digests in enumerate(golden.digests):
        for records, digest in zip(result.records, digests, strict=True):
            assert record_digest(records.value[frame], records.winner[frame]) == digest
    assert differences(network) == []


def test_stated_coverage_is_the_coverage(network):
    stated = network.metadata["golden"]["coverage"]
    result = oracle.run(network, network.golden.images)
    totals = {"groups": [0, 0], "channels": [0, 0]}
    for layer, records in zip(network.convs, result.records, strict=True):
        dense = oracle.expand(records, layer.group_size)
        won = {
            "groups": (records.value > 0).any(axis=(0, 1, 2)),
            "channels": (dense > 0).any(axis=(0, 1, 2)),
        }
        for key, which in won.items():
            assert stated["layers"][layer.name][key] == [int(which.sum()), len(which)]
            totals[key] = [
                a + b for a, b in zip(totals[key], (int(which.sum()), len(which)), strict=True)
            ]
    assert totals == {key: stated[key] for key in totals}
    assert network.metadata["golden"]["frames"] == len(network.golden.images)
    assert network.metadata["seed"] == 7  # what was there stays


def test_frames_cover_all_that_noise_reaches():
    """What hundreds of frames of plain noise reach, a handful of chosen frames reach as well."""
    for seed in (3, 4, 5, 8):
        network = random_network(seed)
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 2**network.input_bits, (300, *network.input_shape))
        result = oracle.run(network, noise.astype(np.uint8))
        reached = sum(
            int((oracle.expand(records, layer.group_size) > 0).any(axis=(0, 1, 2)).sum())
            for layer, records in zip(network.convs, result.records, strict=True)
        )
        coverage = attach_golden(network).metadata["golden"]["coverage"]
        assert coverage["channels"][0] >= reached, seed


def test_same_seed_same_vectors():
    network = random_network(9)
    one, same, other = (attach_golden(network, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.golden.images, same.golden.images)
    assert one.golden.digests == same.golden.digests
    assert not np.array_equal(one.golden.images, other.golden.images)


def test_frames_are_limited():
    assert len(attach_golden(random_network(7), frames=4).golden.images) == 4
    with pytest.raises(ValueError, match="Frames must be 4 or more, not 3"):
        attach_golden(random_network(7), frames=3)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 2), (32, 32, 3), (7, 5, 4)])
@pytest.mark.parametrize("bits", [1, 5, 8])
def test_candidates(shape, bits):
    frames = candidates(np.random.default_rng(0), shape, bits, 60)
    assert frames.shape == (60, *shape) and frames.dtype == np.uint8
    assert frames.max() == 2**bits - 1 and frames.min() == 0
    again = candidates(np.random.default_rng(0), shape, bits, 60)
    np.testing.assert_array_equal(frames, again)


def test_differences_are_found(network):
    digests = [list(frame) for frame in network.golden.digests]
    digests[2][1] = "0" * 64
    logits = network.golden.logits.copy()
    logits[1, 0] += 1
    golden = replace(network.golden, digests=tuple(map(tuple, digests)), logits=logits)
    name = network.convs[1].name
    expected = ["frame 1: logits differ", f"frame 2: records of layer {name} differ"]
    assert differences(replace(network, golden=golden)) == expected
    assert differences(replace(network, golden=None)) == ["the network has no golden vectors"]

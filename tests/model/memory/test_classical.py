"""Hopfield, Amari, Willshaw, Gripon–Berrou: each against its rules written plainly; capacity."""

import numpy as np
import pytest
import torch

from model.memory import capacity as capacity_module
from model.memory.capacity import capacity, error
from model.memory.classical import MEMORIES, erased_counts
from model.memory.patterns import Parts

NEURONS, ACTIVE = 24, 4


def dense_of(name, patterns):
    """Patterns as [M, n] integers."""
    if name == "hopfield":
        return patterns.numpy().astype(int)
    index = patterns.numpy()
    if name == "gripon-berrou":
        index = index + np.arange(ACTIVE) * (NEURONS // ACTIVE)
    dense = np.zeros((len(index), NEURONS), int)
    for row, ones in enumerate(index):
        dense[row, ones] = 1
    return dense


def weights_of(name, dense):
    """The weights of stored patterns, by the definition."""
    outer = [np.outer(one, one) for one in dense]
    if name in ("willshaw", "gripon-berrou"):
        return np.max(outer, axis=0)
    return np.sum(outer, axis=0) * (1 - np.eye(NEURONS, dtype=int))


def retrieved(name, weights, state):
    """What one probe becomes, neuron by neuron."""
    for _ in range({"hopfield": 20, "willshaw": 1}.get(name, 4)):
        field = weights @ state
        if name == "hopfield":
            state = np.where(field == 0, state, np.sign(field))
        elif name == "willshaw":
            state = (field >= state.sum()).astype(int)
        elif name == "amari":
            order = sorted(range(NEURONS), key=lambda i: (-field[i], i))
            state = np.isin(np.arange(NEURONS), order[:ACTIVE]).astype(int)
        else:
            parts = field.reshape(ACTIVE, -1)
            best = parts.max(axis=1, keepdims=True)
            state = ((parts == best) & (best > 0)).reshape(-1).astype(int)
    return state


class Probes:
    """A random generator whose numbers are known, so that the test knows the probes."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def probes(self, name, dense, patterns, share):
        rng, count = self.rng, len(dense)
        if name == "hopfield":
            rank = rng.random(dense.shape).argsort(axis=1)
            return np.where(rank >= round(NEURONS * share), dense, 0)
        gone = erased_counts(rng, count, ACTIVE, share)
        state = dense.copy()
        rank = rng.random((count, ACTIVE)).argsort(axis=1)
        if name == "gripon-berrou":
            rank = rank.argsort(axis=1)
            index = patterns.numpy() + np.arange(ACTIVE) * (NEURONS // ACTIVE)
            erased = rank < gone[:, None]
        else:
            index = patterns.numpy()
            erased = rank < gone[:, None]
        for row in range(count):
            state[row, index[row][erased[row]]] = 0
        return state


@pytest.mark.parametrize("name", [name for name in MEMORIES if name != "sparse-hetero"])
@pytest.mark.parametrize(("count", "share"), [(3, 0.25), (8, 0.4), (25, 0.3), (40, 0.0)])
def test_rules(name, count, share):
    memory = MEMORIES[name](NEURONS, ACTIVE)
    patterns = memory.draw(np.random.default_rng(count), count)
    dense = dense_of(name, patterns)
    weights = weights_of(name, dense)
    memory.store(patterns[:2])
    memory.store(patterns)  # forgets what was there
    np.testing.assert_array_equal(memory.weights.numpy(), weights)
    probes = Probes(7).probes(name, dense, patterns, share)
    expected = [
        bool((retrieved(name, weights, probe) != one).any())
        for probe, one in zip(probes, dense, strict=True)
    ]
    failed = memory.failed(np.random.default_rng(7), patterns, share)
    assert failed.tolist() == expected


def test_rules_are_tested_on_both_outcomes():
    """Few patterns are retrieved, too many are not: the comparison above sees both."""
    for kind in MEMORIES.values():
        memory = kind(NEURONS, ACTIVE)
        few = memory.draw(np.random.default_rng(0), 1)
        many = memory.draw(np.random.default_rng(0), 300)
        assert error(memory, few, 50, 0.25, 0) == 0
        assert error(memory, many, 50, 0.25, 0) > 0.5


@pytest.mark.parametrize("name", list(MEMORIES))
def test_patterns(name):
    memory = MEMORIES[name](NEURONS, ACTIVE)
    patterns = memory.draw(np.random.default_rng(0), 3000)
    if name == "hopfield":
        assert set(patterns.unique().tolist()) == {-1, 1}
        assert abs(patterns.double().mean()) < 0.02
    elif name in ("willshaw", "amari"):
        assert all(len(set(one)) == ACTIVE for one in patterns.tolist())
        share = torch.bincount(patterns.view(-1), minlength=NEURONS) / 3000
        assert (
            share.sum() == pytest.approx(ACTIVE) and (share - ACTIVE / NEURONS).abs().max() < 0.04
        )
    else:
        assert patterns.shape == ((3000, 2, 4) if name == "sparse-hetero" else (3000, 4))
        assert (patterns.min(), patterns.max()) == (0, NEURONS // ACTIVE - 1)


def test_erased_counts_have_the_share_as_their_mean():
    counts = erased_counts(np.random.default_rng(0), 20_000, 7, 0.25)
    assert set(counts.tolist()) == {1, 2} and counts.mean() == pytest.approx(1.75, abs=0.02)
    assert set(erased_counts(np.random.default_rng(0), 99, 8, 0.25).tolist()) == {2}


def test_wrong_sizes():
    with pytest.raises(ValueError, match="Active neurons must be 1 to 8, not 9"):
        MEMORIES["willshaw"](8, 9)
    with pytest.raises(ValueError, match="3 parts do not divide 8 neurons"):
        MEMORIES["gripon-berrou"](8, 3)
    assert MEMORIES["sparse-hetero"](8, 2).parts == Parts(2, 4)


@pytest.mark.parametrize("name", list(MEMORIES))
def test_capacity_is_where_the_error_crosses_the_target(name):
    memory = MEMORIES[name](66, 6)
    found, tried = capacity(memory, seed=3, probes=200)
    assert 1 <= found and tried < 25
    assert capacity(memory, seed=3, probes=200) == (found, tried)
    seen = {}

    def recorded(memory, patterns, *rest):
        seen[len(patterns)] = error(memory, patterns, *rest)
        return seen[len(patterns)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capacity_module, "error", recorded)
        capacity(memory, seed=3, probes=200)
    assert seen[found] <= 0.1
    above = min(count for count in seen if count > found)
    assert seen[above] > 0.1 and above - found <= max(1, 0.005 * found)


@pytest.mark.parametrize("limit", [0, 1, 2, 63, 64, 65, 1000])
def test_bisection(limit, monkeypatch):
    """An error that jumps at a known load is found, to the resolution."""
    monkeypatch.setattr(
        capacity_module, "error", lambda memory, patterns, *rest: float(len(patterns) > limit)
    )
    memory = MEMORIES["hopfield"](8, 2)
    assert capacity(memory, seed=0, resolution=0)[0] == limit
    assert limit - 5 <= capacity(memory, seed=0)[0] <= limit

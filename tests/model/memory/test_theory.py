"""The theory of retrieval errors: against every possible memory, and against measured ones."""

import itertools

import numpy as np
import pytest

from model.memory import integers, theory
from model.memory.patterns import ERASED, Parts, damage, random_vectors
from model.memory.sparse import SparseMemory


def every_memory(source, target, pairs, erased, wrong):
    """The mean error of the one part of `target` over all sets of pairs and all wrong values."""
    choices = list(itertools.product(*[range(source.size)] * source.count, range(target.size)))
    failed = total = 0
    for stored in itertools.product(choices, repeat=pairs):
        table = np.array(stored)
        inputs, outputs = table[:, :-1], table[:, -1:]
        weights = integers.store(inputs, outputs, source, target)
        probes = []
        for shift in itertools.product(range(1, source.size), repeat=wrong):
            probe = inputs[0].copy()
            probe[:erased] = ERASED
            probe[erased : erased + wrong] += np.array(shift, int)
            probe[erased : erased + wrong] %= source.size
            probes.append(probe)
        found = integers.retrieve(weights, np.array(probes), source, target)
        failed += (found != outputs[0]).sum()
        total += len(probes)
    return failed / total


@pytest.mark.parametrize(
    ("source", "target", "pairs"),
    [(Parts(2, 2), Parts(1, 2), 3), (Parts(2, 3), Parts(1, 2), 2), (Parts(3, 2), Parts(1, 3), 2)],
)
def test_exact_error_is_the_mean_over_every_memory(source, target, pairs):
    for erased in range(source.count + 1):
        for wrong in range(source.count + 1 - erased):
            expected = every_memory(source, target, pairs, erased, wrong)
            found = theory.part_error(source, target, pairs, erased=erased, wrong=wrong)
            assert found == pytest.approx(expected, abs=1e-12), (erased, wrong)


def test_one_pair_and_one_coordinate():
    source, target = Parts(3, 4), Parts(2, 5)
    assert theory.part_error(source, target, 1, wrong=2) == pytest.approx(0, abs=1e-12)
    assert theory.part_error(source, target, 7, erased=3) == 1  # nothing left to go by
    assert theory.part_error(source, Parts(2, 1), 50, wrong=1) == pytest.approx(0, abs=1e-12)
    assert theory.part_error(Parts(3, 1), target, 2) == pytest.approx(1 - (1 / 5 + 4 / 5 / 2))


def test_independent_error_in_closed_form():
    source, target, pairs = Parts(8, 32), Parts(4, 16), 200
    for erased in range(8):
        q = theory.density(source, target, pairs) ** (8 - erased)
        closed = 1 - (1 - (1 - q) ** 16) / (16 * q)
        found = theory.independent_error(source, target, pairs, erased=erased)
        assert found == pytest.approx(closed, rel=1e-9, abs=1e-14)


def test_independent_error_is_that_of_independent_weights():
    """Scores drawn as the formula says, and the first maximum taken."""
    source, target, pairs, erased, wrong = Parts(6, 4), Parts(1, 5), 12, 1, 2
    d = theory.density(source, target, pairs)
    rng = np.random.default_rng(0)
    count = 200_000
    scores = rng.binomial(5, d, (count, 5))
    stored = rng.integers(0, 5, count)
    scores[np.arange(count), stored] = 3 + rng.binomial(2, d, count)
    measured = (scores.argmax(axis=1) != stored).mean()
    found = theory.independent_error(source, target, pairs, erased=erased, wrong=wrong)
    assert abs(found - measured) < 5 * (measured / count) ** 0.5


@pytest.mark.parametrize(("erased", "wrong"), [(0, 0), (3, 0), (0, 2), (2, 1)])
@pytest.mark.parametrize("share", [0.25, 0.55])
def test_measured_errors_are_the_exact_ones(erased, wrong, share):
    """Forty memories: density and errors within four standard errors of the theory."""
    source, target = Parts(6, 12), Parts(5, 20)
    pairs = theory.pairs_at(source, target, share)
    rng = np.random.default_rng([erased, wrong, pairs])
    parts, vectors, densities = [], [], []
    for _ in range(40):
        inputs = random_vectors(rng, source, pairs)
        outputs = random_vectors(rng, target, pairs)
        memory = SparseMemory(source, target)
        memory.store(inputs, outputs)
        probes = damage(rng, inputs, source, erased=erased, wrong=wrong)
        failed = memory.retrieve(probes).numpy() != outputs
        parts.append(failed.mean())
        vectors.append(failed.any(axis=1).mean())
        densities.append(memory.density())

    def close(values, expected):
        return abs(np.mean(values) - expected) < 4 * np.std(values) / 40**0.5

    assert close(densities, theory.density(source, target, pairs))
    exact = theory.part_error(source, target, pairs, erased=erased, wrong=wrong)
    assert close(parts, exact)
    # The common formula is another number, and too small; parts fail together a little.
    assert theory.independent_error(source, target, pairs, erased=erased, wrong=wrong) < exact
    whole = theory.vector_error(source, target, pairs, erased=erased, wrong=wrong)
    assert np.mean(vectors) == pytest.approx(whole, rel=0.15)


def test_density():
    source, target = Parts(3, 8), Parts(2, 4)
    assert theory.density(source, target, 1) == pytest.approx(1 / 32)
    assert theory.density(source, target, 50) == pytest.approx(1 - (31 / 32) ** 50)
    assert theory.density(Parts(2, 1), Parts(2, 1), 1) == 1
    assert theory.pairs_at(source, target, 1 - (31 / 32) ** 50) == 50
    with pytest.raises(ValueError, match="Density must be between 0 and 1, not 1"):
        theory.pairs_at(source, target, 1)


@pytest.mark.parametrize("error", [theory.part_error, theory.independent_error])
def test_wrong_arguments(error):
    source, target = Parts(3, 8), Parts(2, 4)
    with pytest.raises(ValueError, match="Pairs must be a positive integer, not 0"):
        error(source, target, 0)
    with pytest.raises(ValueError, match="must be 0 to 3 together, not 2 and 2"):
        error(source, target, 5, erased=2, wrong=2)
    with pytest.raises(ValueError, match="A part of one coordinate has no wrong one"):
        error(Parts(3, 1), target, 5, wrong=1)

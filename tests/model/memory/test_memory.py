"""Sparse vectors and the sparse hetero-associative memory: integers, torch, and the definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.common.errors import UserError
from model.memory import integers
from model.memory.patterns import (
    ERASED,
    Parts,
    check,
    damage,
    expand,
    random_vectors,
    read_vectors,
)
from model.memory.sparse import SparseMemory

shapes = st.builds(Parts, st.integers(1, 9), st.integers(1, 12))


def pairs(seed, source, target, count):
    rng = np.random.default_rng(seed)
    return random_vectors(rng, source, count), random_vectors(rng, target, count)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), source=shapes, target=shapes, count=st.integers(0, 60))
def test_torch_and_integers_are_the_definition(seed, source, target, count):
    inputs, outputs = pairs(seed, source, target, count)
    rng = np.random.default_rng([seed, 1])
    probes = rng.integers(ERASED, source.size, (40, source.count))
    x, y = expand(inputs, source).astype(int), expand(outputs, target).astype(int)
    weights = np.zeros((target.length, source.length), int)
    for one, other in zip(x, y, strict=True):
        weights = np.maximum(weights, np.outer(other, one))  # W = max y xᵀ
    np.testing.assert_array_equal(integers.store(inputs, outputs, source, target), weights)
    memory = SparseMemory(source, target)
    memory.store(inputs, outputs, batch=7)
    np.testing.assert_array_equal(memory.matrix(), weights)
    assert memory.density() == integers.density(weights) == weights.mean()

    z = np.array([weights @ probe for probe in expand(probes, source).astype(int)])
    z = z.reshape(len(probes), target.count, target.size)
    answers = np.full((len(probes), target.count), ERASED)
    for row, part in np.ndindex(answers.shape):
        best = max(z[row, part])
        if best > 0:
            answers[row, part] = list(z[row, part]).index(best)  # the first maximum
    np.testing.assert_array_equal(integers.scores(weights, probes, source, target), z)
    np.testing.assert_array_equal(memory.scores(probes).numpy(), z)
    np.testing.assert_array_equal(integers.retrieve(weights, probes, source, target), answers)
    np.testing.assert_array_equal(memory.retrieve(probes, batch=9).numpy(), answers)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), parts=shapes, steps=st.integers(1, 4))
def test_answers_fed_back(seed, parts, steps):
    vectors = random_vectors(np.random.default_rng(seed), parts, 20)
    probes = np.random.default_rng([seed, 1]).integers(ERASED, parts.size, (20, parts.count))
    memory = SparseMemory(parts, parts)
    memory.store(vectors, vectors)
    expected = probes
    for _ in range(steps):
        expected = integers.retrieve(memory.matrix(), expected, parts, parts)
    found = integers.retrieve(memory.matrix(), probes, parts, parts, steps)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(memory.retrieve(probes, steps).numpy(), expected)


def test_few_pairs_are_retrieved_from_partial_and_from_noisy_probes():
    source, target = Parts(8, 32), Parts(4, 64)
    inputs, outputs = pairs(0, source, target, 30)
    memory = SparseMemory(source, target)
    memory.store(inputs, outputs)
    rng = np.random.default_rng(1)
    for harm in ({}, {"erased": 4}, {"wrong": 2}, {"erased": 2, "wrong": 1}):
        probes = damage(rng, inputs, source, **harm)
        np.testing.assert_array_equal(memory.retrieve(probes).numpy(), outputs)


def test_storing_adds_and_forgets_nothing():
    parts = Parts(3, 5)
    inputs, outputs = pairs(2, parts, parts, 20)
    once, twice = SparseMemory(parts, parts), SparseMemory(parts, parts)
    once.store(inputs, outputs)
    twice.store(inputs[:11], outputs[:11])
    twice.retrieve(inputs)  # what is kept for retrieval is renewed
    twice.store(torch.from_numpy(inputs[11:]), torch.from_numpy(outputs[11:]))
    np.testing.assert_array_equal(once.matrix(), twice.matrix())
    assert torch.equal(once.retrieve(inputs), twice.retrieve(inputs))


def test_wrong_arguments_of_the_memory():
    parts, other = Parts(3, 5), Parts(2, 5)
    inputs, outputs = pairs(3, parts, other, 4)
    memory = SparseMemory(parts, other)
    for store in (
        lambda x, y: memory.store(x, y),
        lambda x, y: integers.store(x, y, parts, other),
    ):
        with pytest.raises(ValueError, match="4 inputs, but 3 outputs: they come in pairs"):
            store(inputs, outputs[:3])
        with pytest.raises(ValueError, match="oordinate.* must be 0 to 4"):
            store(inputs + 5, outputs)
        with pytest.raises(ValueError, match="oordinate.* must be 0 to 4"):
            store(np.full((4, 3), ERASED), outputs)
        with pytest.raises(ValueError, match=r"Vectors of 3 parts must be .*\[N, 3\]"):
            store(outputs, outputs)
    weights = memory.matrix()
    for retrieve in (
        memory.retrieve,
        lambda probes, steps=1: integers.retrieve(weights, probes, parts, other, steps),
    ):
        with pytest.raises(ValueError, match="oordinate.* must be -1 to 4"):
            retrieve(inputs - 2 - inputs)
        with pytest.raises(ValueError, match="Iterations must be a positive integer, not 0"):
            retrieve(inputs, 0)
        with pytest.raises(ValueError, match="from 3x5 to 2x5 cannot take its answer as a probe"):
            retrieve(inputs, 2)
    assert memory.retrieve(inputs[:0]).shape == (0, 2)


# --- vectors ------------------------------------------------------------------------------------


def test_parts():
    assert Parts(8, 32).length == 256 and str(Parts(8, 32)) == "8x32"
    with pytest.raises(ValueError, match="Number of parts must be a positive integer, not 0"):
        Parts(0, 4)
    with pytest.raises(ValueError, match="Size of a part must be a positive integer, not 2.5"):
        Parts(1, 2.5)


def test_expand_and_check():
    dense = expand(np.array([[1, 2], [ERASED, 0]]), Parts(2, 3))
    np.testing.assert_array_equal(dense, [[0, 1, 0, 0, 0, 1], [0, 0, 0, 1, 0, 0]])
    with pytest.raises(ValueError, match="Vector 1, part 0: coordinate must be 0 to 2, not -1"):
        check(np.array([[1, 2], [ERASED, 0]]), Parts(2, 3))
    with pytest.raises(ValueError, match=r"must be integers \[N, 2\], not float64 \[1, 2\]"):
        check(np.zeros((1, 2)), Parts(2, 3))


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), parts=st.builds(Parts, st.integers(1, 9), st.integers(2, 7)))
def test_damage_is_exactly_what_was_asked_for(seed, parts):
    rng = np.random.default_rng(seed)
    vectors = random_vectors(rng, parts, 50)
    erased = int(rng.integers(0, parts.count + 1))
    wrong = int(rng.integers(0, parts.count - erased + 1))
    probes = check(damage(rng, vectors, parts, erased=erased, wrong=wrong), parts, erased=True)
    gone = probes == ERASED
    assert (gone.sum(axis=1) == erased).all()
    assert (((probes != vectors) & ~gone).sum(axis=1) == wrong).all()
    counts = rng.integers(0, parts.count + 1, 50)
    probes = damage(rng, vectors, parts, erased=counts)
    np.testing.assert_array_equal((probes == ERASED).sum(axis=1), counts)


def test_damage_strikes_every_part_and_every_wrong_coordinate():
    parts = Parts(4, 5)
    vectors = np.full((4000, 4), 2)
    probes = damage(np.random.default_rng(0), vectors, parts, erased=1, wrong=1)
    for part in range(4):
        share = [(probes[:, part] == value).mean() for value in (ERASED, 0, 1, 2, 3, 4)]
        np.testing.assert_allclose(share, [1 / 4, 1 / 16, 1 / 16, 1 / 2, 1 / 16, 1 / 16], atol=0.03)


def test_damage_that_cannot_be():
    rng, vectors = np.random.default_rng(0), np.zeros((2, 3), int)
    with pytest.raises(ValueError, match="must be 0 to 3 together, not 2 and 2"):
        damage(rng, vectors, Parts(3, 4), erased=2, wrong=2)
    with pytest.raises(ValueError, match="must be 0 to 3 together, not 0 and -1"):
        damage(rng, vectors, Parts(3, 4), wrong=-1)
    with pytest.raises(ValueError, match="A part of one coordinate has no wrong one"):
        damage(rng, vectors, Parts(3, 1), wrong=1)


def test_read_vectors(tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("# two pairs\n0, 3 -> 1,2,0\n\n3;0\t0 1 1  # the second\n", "utf-8")
    inputs, outputs = read_vectors(file, Parts(2, 4), Parts(3, 3))
    np.testing.assert_array_equal(inputs, [[0, 3], [3, 0]])
    np.testing.assert_array_equal(outputs, [[1, 2, 0], [0, 1, 1]])
    (alone,) = read_vectors(file, Parts(5, 4))
    assert alone.shape == (2, 5)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"0 1 2\n0 1\n", "line 2: 2 numbers, but 2 \\+ 1 are expected"),
        (b"0 1 2\n# x\n0 4 1\n", "line 3: '4' must be a coordinate, 0 to 3"),
        (b"0 1 3\n", "line 1: '3' must be a coordinate, 0 to 2"),
        (b"0 -1 2\n", "line 1: '-1' must be a coordinate, 0 to 3"),
        (b"0 1.0 2\n", "line 1: '1.0' must be a coordinate"),
        ("0 ² 2\n".encode(), "line 1: '²' must be a coordinate"),
        (b"# nothing\n\n", "holds no patterns: write one line for each"),
        (b"\xff\xfe\x00\x01", "is not a text file of patterns"),
    ],
)
def test_read_vectors_refuses(tmp_path, content, text):
    file = tmp_path / "pairs.csv"
    file.write_bytes(content)
    with pytest.raises(UserError, match=text):
        read_vectors(file, Parts(2, 4), Parts(1, 3))


def test_read_vectors_without_a_file(tmp_path):
    with pytest.raises(UserError, match="Cannot read patterns .*none: No such file"):
        read_vectors(tmp_path / "none", Parts(2, 4))

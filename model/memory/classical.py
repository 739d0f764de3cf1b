"""The memories that the paper names beside its own: Hopfield, Amari, Willshaw, Gripon–Berrou.

Each holds n neurons, stores M random patterns and completes probes in which a share of what
carries the pattern is erased. A pattern is retrieved when all n neurons are right. Per memory:

| | patterns | weights | retrieval |
|---|---|---|---|
| Hopfield (1982) | ±1, dense, uniform | Σ x xᵀ, no diagonal | signs of W x, at most 20 times |
| Amari (1972, sparse 1989) | k of n ones | Σ x xᵀ, no diagonal | k largest of W x, 4 times |
| Willshaw et al. (1969) | k of n ones | max x xᵀ | W x ≥ number of ones in x, once |
| Gripon–Berrou (2011) | c = k parts, a one in each | max x xᵀ | maxima of each part, 4 times |
| sparse hetero (the paper) | pairs of c = k parts | max y xᵀ | *first* maximum of each part, once |

All updates are synchronous. `max x xᵀ` of vectors of parts has nothing but the diagonal within a
part: that diagonal is the memory effect (γ = 1) of Gripon and Berrou, whose rule keeps every tied
maximum. Sources: PNAS 79(8); IEEE Trans. Computers C-21(11) and Neural Networks 2(6); Nature 222;
IEEE Trans. Neural Networks 22(7). Amari's threshold is the one that leaves k neurons active.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from model.common.lazy import torch
from model.memory.patterns import Parts, damage, random_vectors
from model.memory.sparse import SparseMemory

__all__ = [
    "MEMORIES",
    "Amari",
    "AutoMemory",
    "GriponBerrou",
    "Hopfield",
    "SparseHetero",
    "Willshaw",
]

STEPS = 4  # of retrieval, where a memory iterates on sparse patterns
DENSE_STEPS = 20


class AutoMemory(ABC):
    """A memory of `neurons` neurons, `active` of them 1 in a sparse pattern; empty at first.

    Patterns are torch tensors [M, …] of the memory's own kind, made by `draw`.
    Raises ``ValueError`` where the two numbers do not go together.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, neurons: int, active: int):
        if not 1 <= active <= neurons:
            raise ValueError(f"Active neurons must be 1 to {neurons}, not {active}")
        self.neurons, self.active = neurons, active

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int) -> torch.Tensor:
        """`count` random patterns."""

    @abstractmethod
    def store(self, patterns: torch.Tensor) -> None:
        """Forget everything, then store `patterns`."""

    @abstractmethod
    def failed(
        self, rng: np.random.Generator, patterns: torch.Tensor, share: float
    ) -> torch.Tensor:
        """For each of `patterns`: whether its probe, `share` of it erased, is not completed."""


def erased_counts(rng: np.random.Generator, probes: int, total: int, share: float) -> np.ndarray:
    """How many of `total` to erase in each probe: `share` of them on average, rounded at random."""
    whole = int(total * share)
    return whole + (rng.random(probes) < total * share - whole)


class Hopfield(AutoMemory):
    """Patterns [M, n] int8 of ±1; erased neurons are 0 in the probe."""

    name, title = "hopfield", "Hopfield"

    def draw(self, rng, count):
        return torch.from_numpy(rng.integers(0, 2, (count, self.neurons), np.int8) * 2 - 1)

    def store(self, patterns):
        dense = patterns.to(torch.float32)  # sums of M ones: exact
        self.weights = (dense.T @ dense).fill_diagonal_(0)

    def failed(self, rng, patterns, share):
        wanted = patterns.to(torch.float32)
        kept = rng.random(wanted.shape).argsort(axis=1) >= round(self.neurons * share)
        state = wanted * torch.from_numpy(kept)

        def step(now):
            field = now @ self.weights
            return torch.where(field == 0, now, field.sign())  # no field, no change

        return (_iterate(state, step, DENSE_STEPS) != wanted).any(dim=1)


class Willshaw(AutoMemory):
    """Patterns [M, k]: the indices of the ones, all different."""

    name, title = "willshaw", "Willshaw"

    def draw(self, rng, count):
        chosen = rng.integers(0, self.neurons, (count, self.active))
        while True:  # draw those again that have an index twice
            ordered = np.sort(chosen, axis=1)
            twice = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
            if len(twice) == 0:
                return torch.from_numpy(chosen)
            chosen[twice] = rng.integers(0, self.neurons, (len(twice), self.active))

    def store(self, patterns):
        self.weights = torch.zeros(self.neurons, self.neurons)
        self.weights.view(-1)[_pairs(patterns, self.neurons)] = 1

    def failed(self, rng, patterns, share):
        wanted, state = self._probes(rng, patterns, share)
        field = state @ self.weights
        return ((field >= state.sum(dim=1, keepdim=True)) != wanted.bool()).any(dim=1)

    def _probes(self, rng, patterns, share):
        """Wanted states and probes, each [K, n] of 0 and 1."""
        count = erased_counts(rng, len(patterns), self.active, share)
        kept = rng.random(patterns.shape).argsort(axis=1) >= count[:, None]
        zeros = torch.zeros(len(patterns), self.neurons)
        probe = torch.from_numpy(kept).to(torch.float32)
        return zeros.scatter(1, patterns, 1.0), zeros.scatter(1, patterns, probe)


class Amari(Willshaw):
    """Patterns as Willshaw's; weights count how often two neurons are active together."""

    name, title = "amari", "Amari"

    def store(self, patterns):
        count = torch.bincount(_pairs(patterns, self.neurons), minlength=self.neurons**2)
        self.weights = count.view(self.neurons, -1).to(torch.float32).fill_diagonal_(0)

    def failed(self, rng, patterns, share):
        wanted, state = self._probes(rng, patterns, share)
        rank = torch.arange(self.neurons - 1, -1, -1)

        def step(now):
            # Integer fields; the lowest index wins a tie because it is part of the key.
            key = (now @ self.weights).to(torch.int64) * self.neurons + rank
            return torch.zeros_like(now).scatter_(1, key.topk(self.active, dim=1).indices, 1.0)

        return (_iterate(state, step, STEPS) != wanted).any(dim=1)


class GriponBerrou(AutoMemory):
    """Patterns [M, c] of coordinates; c = k parts of n / k."""

    name, title = "gripon-berrou", "Gripon–Berrou"

    def __init__(self, neurons, active):
        super().__init__(neurons, active)
        if neurons % active:
            raise ValueError(f"{active} parts do not divide {neurons} neurons")
        self.parts = Parts(active, neurons // active)

    def draw(self, rng, count):
        return torch.from_numpy(random_vectors(rng, self.parts, count))

    def store(self, patterns):
        self.weights = torch.zeros(self.neurons, self.neurons)
        self.weights.view(-1)[_pairs(self._indices(patterns), self.neurons)] = 1

    def failed(self, rng, patterns, share):
        zeros = torch.zeros(len(patterns), self.neurons)
        wanted = zeros.scatter(1, self._indices(patterns), 1.0)
        probes = _damaged(rng, patterns, self.parts, share)
        kept = (probes >= 0).to(torch.float32)
        state = zeros.scatter(1, self._indices(patterns), kept)

        def step(now):
            field = (now @ self.weights).view(len(now), self.parts.count, -1)
            best = field.amax(dim=2, keepdim=True)
            return ((field == best) & (best > 0)).to(torch.float32).view(len(now), -1)

        return (_iterate(state, step, STEPS) != wanted).any(dim=1)

    def _indices(self, patterns):
        return patterns + torch.arange(self.parts.count) * self.parts.size


class SparseHetero(GriponBerrou):
    """Pairs [M, 2, c] of coordinates: n input neurons, as many output neurons."""

    name, title = "sparse-hetero", "sparse hetero-associative"

    def draw(self, rng, count):
        return torch.from_numpy(rng.integers(0, self.parts.size, (count, 2, self.parts.count)))

    def store(self, patterns):
        self.memory = SparseMemory(self.parts, self.parts)
        self.memory.store(patterns[:, 0], patterns[:, 1])

    def failed(self, rng, patterns, share):
        probes = _damaged(rng, patterns[:, 0], self.parts, share)
        return (self.memory.retrieve(probes) != patterns[:, 1]).any(dim=1)


#: In the order of tables and plots.
MEMORIES: dict[str, type[AutoMemory]] = {
    kind.name: kind for kind in (Hopfield, Amari, Willshaw, GriponBerrou, SparseHetero)
}


def _pairs(indices, neurons):
    """Flat positions in an n × n matrix of all pairs of each pattern's ones: [M·k²]."""
    return (indices[:, :, None] * neurons + indices[:, None, :]).reshape(-1)


def _damaged(rng, vectors, parts, share):
    erased = erased_counts(rng, len(vectors), parts.count, share)
    return torch.from_numpy(damage(rng, vectors.numpy(), parts, erased=erased))


def _iterate(state, step, most):
    """`step` again and again, at most `most` times, on the rows that still change."""
    moving = torch.arange(len(state))
    for _ in range(most):
        now = step(state[moving])
        changed = (now != state[moving]).any(dim=1)
        state[moving] = now
        moving = moving[changed]
        if len(moving) == 0:
            break
    return state

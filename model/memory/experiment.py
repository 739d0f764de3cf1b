"""Experiment `memory`: retrieval error against load, and capacity against n, beside the theory.

`run` yields records, each a JSON-able dict with a stable unique ``key``; `tables` makes Markdown
and `figures` plots of them, finished or not. Three kinds of records:

- ``error``: one memory from `source` to `target` parts, `pairs` stored pairs, one kind of probe
  (`erased`, `wrong` parts), one seed: measured and expected density and errors.
- ``capacity``: of one memory (`model.memory.classical`) of n neurons, one seed.
- ``theory``: the sparse hetero-associative memory's capacity by `model.memory.theory`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from model.memory import theory
from model.memory.capacity import capacity
from model.memory.classical import MEMORIES
from model.memory.patterns import Parts, damage, random_vectors
from model.memory.report import draw, write
from model.memory.sparse import SparseMemory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figures", "keys", "run", "tables"]

TARGET = 0.1  # of the stored vectors may fail: what "capacity" means here
SHARE = 0.25  # of what carries a pattern is erased in the probes of capacity
#: k = c active neurons of n = c·ℓ, the multiple of c next to 2^c: k = log2 n.
SIZES = tuple((c * round(2**c / c), c) for c in range(6, 12))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One measurement of `error`."""

    source: Parts
    target: Parts
    pairs: int
    erased: int
    wrong: int
    probes: int
    seed: int

    @property
    def key(self) -> str:
        return (
            f"error/{self.source}-{self.target}/m{self.pairs}/e{self.erased}w{self.wrong}"
            f"/p{self.probes}/seed{self.seed}"
        )


def keys(quick: bool, seeds: Sequence[int]) -> list[str]:
    """Keys of all records of a run, in its order."""
    return [key for key, _, _ in _jobs(quick, seeds)]


def run(
    quick: bool,
    seeds: Sequence[int],
    advance: Callable[[str], None] = lambda text: None,
    done: Iterable[str] = (),
) -> Iterator[dict[str, Any]]:
    """Records one after another, but for those whose key is in `done`.

    `advance` is called with a text before each record that is made. `quick` takes smaller
    networks, fewer loads and fewer probes, and each record says so.
    """
    skipped = set(done)
    for key, text, job in _jobs(quick, seeds):
        if key not in skipped:
            advance(text)
            yield {"key": key, "quick": quick, **job()}


def tables(records: Iterable[dict]) -> str:
    """The records as Markdown: error against load, capacity against n, and how it grows."""
    return write(list(records))


def figures(records: Iterable[dict]) -> dict[str, Figure]:
    """Plots by name: one of errors for each pair of shapes, and ``capacity``."""
    return draw(list(records))


def _jobs(quick, seeds):
    """(key, text, function that makes the record) of everything that is measured."""
    shapes = [(Parts(8, 32), Parts(8, 32)), (Parts(6, 16), Parts(10, 64))]
    densities = (0.1, 0.3, 0.6) if quick else (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    probes = 500 if quick else 4000
    for source, target in shapes[:1] if quick else shapes:
        kinds = [(0, 0), (source.count // 4, 0), (source.count // 2, 0), (0, 1), (0, 2)]
        for density in densities:
            pairs = theory.pairs_at(source, target, density)
            for erased, wrong in kinds:
                for seed in seeds:
                    case = Case(source=source, target=target, pairs=pairs, erased=erased,
                                wrong=wrong, probes=probes, seed=seed)  # fmt: skip
                    text = f"error of {source} to {target}, {pairs} pairs, seed {seed}"
                    yield case.key, text, lambda case=case: _error(case)
    probes = 200 if quick else 1000
    for neurons, active in SIZES[:3] if quick else SIZES:
        for name, kind in MEMORIES.items():
            for seed in seeds:
                key = f"capacity/{name}/n{neurons}/p{probes}/seed{seed}"
                text = f"capacity of {kind.title}, n = {neurons}, seed {seed}"
                yield (
                    key,
                    text,
                    lambda name=name, size=(neurons, active), seed=seed, probes=probes: _capacity(
                        name, *size, seed, probes
                    ),
                )
        yield (
            f"theory/sparse-hetero/n{neurons}",
            f"theory, n = {neurons}",
            lambda size=(neurons, active): _theory(*size),
        )


def _error(case):
    """Measure one memory: its density, and the share of wrong parts and of wrong vectors."""
    rng = np.random.default_rng([case.seed, case.pairs, case.source.length, case.target.length])
    inputs = random_vectors(rng, case.source, case.pairs)
    outputs = random_vectors(rng, case.target, case.pairs)
    memory = SparseMemory(case.source, case.target)
    memory.store(inputs, outputs)
    turns = np.arange(case.probes) % case.pairs
    probes = damage(rng, inputs[turns], case.source, erased=case.erased, wrong=case.wrong)
    failed = memory.retrieve(probes).numpy() != outputs[turns]
    load = {"source": case.source, "target": case.target, "pairs": case.pairs}
    harm = {"erased": case.erased, "wrong": case.wrong}
    return {
        "kind": "error",
        "source": [case.source.count, case.source.size],
        "target": [case.target.count, case.target.size],
        "pairs": case.pairs,
        **harm,
        "probes": case.probes,
        "seed": case.seed,
        "density": memory.density(),
        "density_theory": theory.density(**load),
        "part_error": float(failed.mean()),
        "part_exact": theory.part_error(**load, **harm),
        "part_independent": theory.independent_error(**load, **harm),
        "vector_error": float(failed.any(axis=1).mean()),
        "vector_theory": theory.vector_error(**load, **harm),
    }


def _capacity(name, neurons, active, seed, probes):
    memory = MEMORIES[name](neurons, active)
    found, tried = capacity(memory, seed=seed, target=TARGET, share=SHARE, probes=probes)
    return {
        "kind": "capacity",
        "memory": name,
        "neurons": neurons,
        "active": active,
        "seed": seed,
        "capacity": found,
        "target": TARGET,
        "share": SHARE,
        "probes": probes,
        "tried": tried,
    }


def _theory(neurons, active):
    """The largest M that `theory.vector_error` keeps at or below the target."""
    parts = Parts(active, neurons // active)
    whole = int(active * SHARE)
    more = active * SHARE - whole  # share of the probes that have one more part erased

    def fits(pairs):
        few = theory.vector_error(parts, parts, pairs, erased=whole)
        many = theory.vector_error(parts, parts, pairs, erased=whole + 1)
        return (1 - more) * few + more * many <= TARGET

    low, high = 1, 2
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return {"kind": "theory", "neurons": neurons, "active": active, "capacity": low}

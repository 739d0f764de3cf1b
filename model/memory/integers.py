"""The sparse hetero-associative memory in plain integers: storing and retrieving, word by word.

Slow on purpose: one statement a rule, as `model.integers.oracle` does it for networks. It shares no
code with `model.memory.sparse`; tests compare the two, and both with the exported network.
"""

import numpy as np

from model.memory.patterns import ERASED, Parts, check, expand

__all__ = ["density", "retrieve", "scores", "store"]


def store(inputs: np.ndarray, outputs: np.ndarray, source: Parts, target: Parts) -> np.ndarray:
    """W = max over the pairs of y xᵀ (DecisiveNets, section 3.2): [c'·ℓ', c·ℓ] uint8 of 0 and 1.

    `inputs` [M, c] and `outputs` [M, c'] are coordinates. Raises ``ValueError`` for others, or for
    another number of inputs than of outputs.
    """
    inputs, outputs = check(inputs, source), check(outputs, target)
    if len(inputs) != len(outputs):
        raise ValueError(f"{len(inputs)} inputs, but {len(outputs)} outputs: they come in pairs")
    weights = np.zeros((target.length, source.length), np.uint8)
    rows = outputs + np.arange(target.count) * target.size
    columns = inputs + np.arange(source.count) * source.size
    for y, x in zip(rows, columns, strict=True):
        weights[np.ix_(y, x)] = 1  # where y xᵀ is 1, so is the maximum
    return weights


def scores(weights: np.ndarray, probes: np.ndarray, source: Parts, target: Parts) -> np.ndarray:
    """z = W x of each probe [N, c], an erased part adding nothing: [N, c', ℓ'] int64."""
    dense = expand(probes, source).astype(np.int64)
    z = dense @ weights.astype(np.int64).T
    return z.reshape(len(dense), target.count, target.size)


def retrieve(
    weights: np.ndarray, probes: np.ndarray, source: Parts, target: Parts, iterations: int = 1
) -> np.ndarray:
    """What the memory answers to `probes` [N, c]: coordinates [N, c'], or `ERASED`.

    Of each part of z = W x the first maximum wins, the one of the lowest index. Where that is 0,
    nothing is known of the part and it stays erased: the record of value 0 of
    ``docs/arithmetic.md``. More `iterations` feed the answer back (source and target alike).
    """
    if iterations < 1:
        raise ValueError(f"Iterations must be a positive integer, not {iterations}")
    if iterations > 1 and source != target:
        raise ValueError(f"A memory from {source} to {target} cannot take its answer as a probe")
    for _ in range(iterations):
        z = scores(weights, probes, source, target)
        winner = z.argmax(axis=2)  # numpy's argmax is the first maximum
        probes = np.where(z.max(axis=2) > 0, winner, ERASED)
    return probes


def density(weights: np.ndarray) -> float:
    """Share of the weights that are 1."""
    return float(np.count_nonzero(weights)) / weights.size

"""A classical memory as a network: binary weights, binary records, exact. numpy only.

The network does what `model.memory.integers.retrieve` does, by the rules of
``docs/arithmetic.md``:

- The image is the probe: c rows, one column, ℓ channels, of one bit. Row g is part g: 1 at its
  coordinate, all 0 where the part is erased.
- ``probe``, a 1 × 1 convolution with the identity, ℓ maps in one group, makes a record of each
  part: value 1 and the coordinate, or value 0.
- ``memory``, a convolution of c × 1, holds W: it reads c records and needs one multiplication for
  each part and output coordinate. Its c' groups of ℓ' are the answer. A memory that feeds its
  answer back has ``memory 2`` and so on, the same W as 1 × 1 convolutions.
- The classifier reads the answer out. ``parts``: logit g is 1 + the coordinate of part g, 0 for an
  erased one. ``patterns``: logit m counts the parts that agree with stored output m, so that the
  class is the stored pattern that was retrieved.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from model.integers import oracle
from model.memory import integers
from model.memory.patterns import ERASED, Parts, check, damage, expand, random_vectors
from model.network import Classifier, Conv, Golden, Network, record_digest, signed_bits, validate

__all__ = ["READOUTS", "answers", "example", "images", "to_network"]

READOUTS = ("parts", "patterns")
#: Largest ℓ' whose 1 + coordinate is a weight of eight signed bits.
LARGEST_READOUT = 127


def images(probes: np.ndarray, source: Parts) -> np.ndarray:
    """Probes [N, c] of coordinates as the network's images, [N, c, 1, ℓ] uint8 of 0 and 1."""
    return expand(probes, source).reshape(-1, source.count, 1, source.size)


def answers(records) -> np.ndarray:
    """Coordinates [N, c'] from the records (value, winner) of the network's last convolution."""
    value, winner = np.asarray(records.value), np.asarray(records.winner)
    return np.where(value > 0, winner, ERASED).reshape(len(value), -1)


def to_network(
    inputs: np.ndarray,
    outputs: np.ndarray,
    source: Parts,
    target: Parts,
    *,
    name: str = "memory",
    iterations: int = 1,
    readout: str = "parts",
    frames: int = 8,
    seed: int = 0,
) -> Network:
    """The network of the memory that stores the pairs (`inputs` [M, c], `outputs` [M, c']).

    Parameters
    ----------
    name : str
        Of the network.
    iterations : int
        Of retrieval; more than one only from a shape to itself.
    readout : str
        ``"parts"`` (ℓ' up to 127) or ``"patterns"``.
    frames : int
        Golden vectors, 4 or more: stored probes, whole, in part, with wrong parts, nothing at all,
        and images that are no probe (many ones in a part).
    seed : int
        Of the choice of those probes.

    Returns a checked network with golden vectors by the numpy oracle. Raises ``ValueError`` for
    what cannot be.
    """
    inputs, outputs = check(inputs, source), check(outputs, target)
    if len(inputs) == 0:
        raise ValueError("A memory needs at least one pair")
    if iterations < 1:
        raise ValueError(f"Iterations must be a positive integer, not {iterations}")
    if iterations > 1 and source != target:
        raise ValueError(f"A memory from {source} to {target} cannot take its answer as a probe")
    if readout not in READOUTS:
        raise ValueError(f"Readout must be one of {', '.join(READOUTS)}, not {readout!r}")
    if frames < 4:
        raise ValueError(f"Frames must be 4 or more, not {frames}")
    weights = integers.store(inputs, outputs, source, target)
    layers = [_layer("probe", 0, np.eye(source.size, dtype=np.int8)[:, None, None, :], source.size)]
    first = weights.reshape(target.length, source.count, 1, source.size)
    again = weights.reshape(target.length, 1, 1, source.length)
    for index in range(iterations):
        text = f"memory {index + 1}" if index else "memory"
        layers.append(_layer(text, index + 1, again if index else first, target.size))
    classifier, classes = _readout(readout, outputs, target, len(layers))
    network = Network(
        name=name,
        input_shape=(source.count, 1, source.size),
        input_bits=1,
        layers=(*layers, classifier),
        classes=classes,
        metadata={
            "memory": {
                "source": [source.count, source.size],
                "target": [target.count, target.size],
                "pairs": len(inputs),
                "density": round(integers.density(weights), 6),
                "iterations": iterations,
                "readout": readout,
            },
            "golden": {"frames": frames, "seed": seed},
        },
        golden=None,
    )
    validate(network)
    return _with_golden(network, _frames(np.random.default_rng(seed), inputs, source, frames))


def example() -> tuple[np.ndarray, np.ndarray, Parts, Parts]:
    """A memory small enough to be followed by hand: (inputs, outputs, source, target).

    Three pairs from 4 parts of 4 coordinates to 3 parts of 4: of the kind of the paper's figure 1,
    whose own numbers are not reproduced here. W has 35 ones, for the pairs 0 and 1 share one of
    their twelve. Each pair is retrieved from its whole probe. From its first part alone, pair 1 is
    not: two parts of the answer are tied with pair 0, and the lowest index wins.
    """
    inputs = np.array([[0, 1, 2, 3], [0, 3, 1, 1], [2, 3, 0, 2]])
    outputs = np.array([[1, 0, 3], [1, 2, 0], [3, 1, 2]])
    return inputs, outputs, Parts(4, 4), Parts(3, 4)


def _layer(name: str, source: int, weights: np.ndarray, group_size: int) -> Conv:
    """A binary convolution: the winner is the first maximum of S itself, its value 1 if S > 0."""
    channels = weights.shape[0]
    return Conv(
        name=name,
        source=source,
        weights=weights,
        weight_bits=1,
        stride=1,
        padding=(0, 0, 0, 0),
        bias=np.zeros(channels, np.int8),
        # (S + 1) >> 1 is 0 for S = 0, and at least 1 above.
        multiplier=np.ones(channels, np.int8),
        shift=np.ones(channels, np.int8),
        group_size=group_size,
        activation_bits=1,
        order="before",
        binary=True,
    )


def _readout(
    readout: str, outputs: np.ndarray, target: Parts, source: int
) -> tuple[Classifier, tuple[str, ...]]:
    if readout == "patterns":
        weights = expand(outputs, target)
        classes: Sequence[str] = [f"pattern {index}" for index in range(len(outputs))]
        bits = 1
    else:
        if target.size > LARGEST_READOUT:
            raise ValueError(
                f"Readout 'parts' does parts of at most {LARGEST_READOUT} coordinates, "
                f"not {target.size}; use 'patterns'"
            )
        index = np.arange(1, target.size + 1)
        weights = np.kron(np.eye(target.count, dtype=np.int8), index)
        classes = [f"part {index}" for index in range(target.count)]
        bits = max(2, signed_bits(0, target.size))
    return Classifier(
        name="readout",
        source=source,
        weights=weights.astype(np.int8),
        weight_bits=bits,
        bias=np.zeros(len(weights), np.int8),
    ), tuple(classes)


def _frames(rng, inputs, source, count):
    """Images [count, c, 1, ℓ]: probes of every kind, then images that are no probe."""
    chosen = inputs[rng.integers(0, len(inputs), count)]
    probes = []
    for index in range(count - 1):
        if index % 4 == 3 and index > 3:
            probes.append(random_vectors(rng, source, 1))  # never stored, most likely
            continue
        erased = (0, (source.count + 1) // 2, 0, source.count)[index % 4]
        wrong = int(index % 4 == 2 and source.size > 1)
        probes.append(damage(rng, chosen[index : index + 1], source, erased=erased, wrong=wrong))
    dense = rng.random((1, source.count, 1, source.size)) < rng.random((1, source.count, 1, 1))
    return np.concatenate([images(np.concatenate(probes), source), dense.astype(np.uint8)])


def _with_golden(network: Network, frames: np.ndarray) -> Network:
    result = oracle.run(network, frames)
    digests = tuple(
        tuple(record_digest(layer.value[frame], layer.winner[frame]) for layer in result.records)
        for frame in range(len(frames))
    )
    return replace(network, golden=Golden(images=frames, digests=digests, logits=result.logits))

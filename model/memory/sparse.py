"""The sparse hetero-associative memory in torch, for whole batches (DecisiveNets, section 3.2).

Storing is W = max y xᵀ; retrieving is z = W x and, in each part of z, the first maximum. A probe
has one 1 in a part, so W x is the sum of c columns of W: one product for each part and output
coordinate, as in the accelerator, ℓ times fewer than dense.
"""

from __future__ import annotations

import numpy as np

from model.common.lazy import torch
from model.memory.patterns import ERASED, Parts

__all__ = ["SparseMemory"]


class SparseMemory:
    """A memory from vectors of `source` parts to vectors of `target` parts; empty at first.

    ``weights`` [c·ℓ, c'·ℓ'] uint8 of 0 and 1 is Wᵀ: the row of an input coordinate is the column
    of W that it adds. Vectors are [N, parts] integer tensors or arrays of coordinates, −1 an
    erased part.
    """

    def __init__(self, source: Parts, target: Parts, device: torch.device | str = "cpu"):
        self.source, self.target = source, target
        self.device = torch.device(device)
        self.weights = torch.zeros(
            (source.length, target.length), dtype=torch.uint8, device=self.device
        )
        self._table: torch.Tensor | None = None

    def store(self, inputs, outputs, batch: int = 4096) -> None:
        """Store the pairs (`inputs` [M, c], `outputs` [M, c']), `batch` of them at a time.

        Raises ``ValueError`` for erased parts, other shapes and coordinates out of range.
        """
        x = self._offset(inputs, self.source, erased=False)
        y = self._offset(outputs, self.target, erased=False)
        if len(x) != len(y):
            raise ValueError(f"{len(x)} inputs, but {len(y)} outputs: they come in pairs")
        flat = self.weights.view(-1)
        for first in range(0, len(x), batch):
            part = slice(first, first + batch)
            index = x[part, :, None] * self.target.length + y[part, None, :]  # [M, c, c']
            flat[index.reshape(-1)] = 1
        self._table = None

    def scores(self, probes) -> torch.Tensor:
        """z = W x of `probes` [N, c]: [N, c', ℓ'] int32."""
        index = self._offset(probes, self.source, erased=True)
        if self._table is None:
            # Sums of at most c ones: float32 holds them exactly. The last row is an erased part.
            self._table = torch.nn.functional.pad(self.weights, (0, 0, 0, 1)).to(torch.float32)
        z = torch.nn.functional.embedding_bag(
            index, self._table, mode="sum", padding_idx=self.source.length
        )
        return z.to(torch.int32).view(-1, self.target.count, self.target.size)

    def retrieve(self, probes, iterations: int = 1, batch: int = 4096) -> torch.Tensor:
        """The answers to `probes` [N, c]: coordinates [N, c'] int64, −1 where z is all 0.

        More `iterations` feed the answer back; source and target must then be alike.
        """
        if iterations < 1:
            raise ValueError(f"Iterations must be a positive integer, not {iterations}")
        if iterations > 1 and self.source != self.target:
            raise ValueError(
                f"A memory from {self.source} to {self.target} cannot take its answer as a probe"
            )
        probes = _tensor(probes, self.device)
        parts = probes.split(batch) if len(probes) else [probes]
        return torch.cat([self._answer(part, iterations) for part in parts])

    def density(self) -> float:
        """Share of the weights that are 1."""
        return int(self.weights.sum(dtype=torch.int64)) / self.weights.numel()

    def matrix(self) -> np.ndarray:
        """W [c'·ℓ', c·ℓ] uint8, as `model.memory.integers` and the export have it."""
        return np.ascontiguousarray(self.weights.T.cpu().numpy())

    def _answer(self, probes, iterations):
        size = self.target.size
        rank = torch.arange(size - 1, -1, -1, dtype=torch.int32, device=self.device)
        for _ in range(iterations):
            # The lowest index wins a tie because it is part of the key.
            best = (self.scores(probes) * size + rank).amax(dim=2)
            winner = (size - 1) - best % size
            probes = torch.where(best >= size, winner, ERASED).to(torch.int64)
        return probes

    def _offset(self, vectors, parts, erased):
        """Coordinates [N, c] to rows of the table: part·ℓ + coordinate, c·ℓ for an erased part."""
        vectors = _tensor(vectors, self.device)
        if vectors.ndim != 2 or vectors.shape[1] != parts.count:
            raise ValueError(
                f"Vectors of {parts.count} parts must be [N, {parts.count}], "
                f"not {list(vectors.shape)}"
            )
        lowest = ERASED if erased else 0
        if bool(((vectors < lowest) | (vectors >= parts.size)).any()):
            raise ValueError(f"Coordinates must be {lowest} to {parts.size - 1}")
        first = torch.arange(parts.count, device=self.device) * parts.size
        return torch.where(vectors == ERASED, parts.length, vectors + first)


def _tensor(vectors, device):
    return torch.as_tensor(vectors, dtype=torch.int64, device=device)

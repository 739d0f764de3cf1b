"""Sparse vectors of c parts: drawn, damaged, expanded, read from text. numpy only.

A vector of c parts of ℓ coordinates has exactly one 1 in each part (Gripon and Berrou 2011). It is
kept as the c coordinates of its ones, `ERASED` (−1) standing for a part without any.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.common.errors import UserError

__all__ = ["ERASED", "Parts", "check", "damage", "expand", "random_vectors", "read_vectors"]

ERASED = -1


@dataclass(frozen=True)
class Parts:
    """How a sparse vector is divided: ``count`` parts (c) of ``size`` coordinates (ℓ) each."""

    count: int
    size: int

    def __post_init__(self):
        for name, value in (("Number of parts", self.count), ("Size of a part", self.size)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")

    @property
    def length(self) -> int:
        """Coordinates in all, c·ℓ."""
        return self.count * self.size

    def __str__(self) -> str:
        return f"{self.count}x{self.size}"


def check(vectors: np.ndarray, parts: Parts, *, erased: bool = False) -> np.ndarray:
    """`vectors` as an [N, c] int64 array; `erased` allows erased parts.

    Raises ``ValueError`` for another shape or a coordinate out of range.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or vectors.shape[1] != parts.count or vectors.dtype.kind not in "iu":
        raise ValueError(
            f"Vectors of {parts.count} parts must be integers [N, {parts.count}], "
            f"not {vectors.dtype} {list(vectors.shape)}"
        )
    lowest = ERASED if erased else 0
    wrong = (vectors < lowest) | (vectors >= parts.size)
    if wrong.any():
        row, part = np.argwhere(wrong)[0]
        raise ValueError(
            f"Vector {row}, part {part}: coordinate must be {lowest} to {parts.size - 1}, "
            f"not {vectors[row, part]}"
        )
    return vectors.astype(np.int64)


def random_vectors(rng: np.random.Generator, parts: Parts, count: int) -> np.ndarray:
    """`count` vectors [count, c] int64, every coordinate drawn uniformly and independently."""
    return rng.integers(0, parts.size, (count, parts.count))


def damage(
    rng: np.random.Generator,
    vectors: np.ndarray,
    parts: Parts,
    *,
    erased: int | np.ndarray = 0,
    wrong: int = 0,
) -> np.ndarray:
    """Probes: `vectors` with `erased` parts erased and `wrong` others replaced, chosen at random.

    A replaced part takes one of the ℓ − 1 wrong coordinates, uniformly. `erased` may be an array
    [N], one number for each vector.

    Raises ``ValueError`` where there are not so many parts, or where ℓ = 1 leaves no wrong
    coordinate.
    """
    vectors = check(vectors, parts)
    most = int(np.max(erased, initial=0)) + wrong
    if wrong < 0 or int(np.min(erased, initial=0)) < 0 or most > parts.count:
        raise ValueError(
            f"Erased and wrong parts must be 0 to {parts.count} together, not {erased} and {wrong}"
        )
    if wrong and parts.size == 1:
        raise ValueError("A part of one coordinate has no wrong one")
    rank = rng.random(vectors.shape).argsort(axis=1).argsort(axis=1)  # [N, c]
    limit = np.broadcast_to(erased, len(vectors))[:, None]
    probes = vectors.copy()
    if wrong:
        other = (vectors + rng.integers(1, parts.size, vectors.shape)) % parts.size
        replaced = (rank >= limit) & (rank < limit + wrong)
        probes[replaced] = other[replaced]
    probes[rank < limit] = ERASED
    return probes


def expand(vectors: np.ndarray, parts: Parts) -> np.ndarray:
    """The vectors themselves, [N, c·ℓ] uint8 of 0 and 1; an erased part is all zero."""
    vectors = check(vectors, parts, erased=True)
    ones = vectors[:, :, None] == np.arange(parts.size)
    return ones.reshape(len(vectors), parts.length).astype(np.uint8)


def read_vectors(path: str | Path, *groups: Parts) -> tuple[np.ndarray, ...]:
    """Vectors from a text or CSV file, one or more a line, as [N, c] arrays, one for each group.

    A line holds the coordinates (from 0) of a vector of each of `groups`, one after the other,
    separated by commas, semicolons, blanks or ``->``. Text after ``#`` and empty lines are left
    out.

    Raises `UserError` that names the line.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UserError(f"Cannot read patterns {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file of patterns") from None
    sizes = [parts.size for parts in groups for _ in range(parts.count)]
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = [word for word in re.split(r"->|[,;\s]+", line.split("#")[0]) if word]
        if not words:
            continue
        if len(words) != len(sizes):
            expected = " + ".join(str(parts.count) for parts in groups)
            raise UserError(
                f"{path}, line {number}: {len(words)} numbers, but {expected} are expected"
            )
        for word, size in zip(words, sizes, strict=True):
            if not re.fullmatch("[0-9]{1,9}", word) or int(word) >= size:
                raise UserError(
                    f"{path}, line {number}: {word!r} must be a coordinate, 0 to {size - 1}"
                )
        rows.append([int(word) for word in words])
    if not rows:
        raise UserError(f"{path} holds no patterns: write one line for each")
    table = np.array(rows, np.int64)
    ends = np.cumsum([parts.count for parts in groups])
    return tuple(np.split(table, ends[:-1], axis=1))

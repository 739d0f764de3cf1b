"""A memory's back door: the arrays of words that hold it, and which word lies where."""

from dataclasses import dataclass

__all__ = ["BUS_BITS", "WordArray"]

#: Bits of a word on the host's bus, by which it counts a region's addresses.
BUS_BITS = 32


@dataclass(frozen=True, kw_only=True)
class WordArray:
    """One array of words, in hardware, of a memory.

    A region's bus words, from address 0 on, are cut into pieces of ``piece_bits``, low bits first,
    and the pieces are counted. Row r holds piece ``(first + r) * parts + part``.

    Parameters
    ----------
    path : tuple of str
        Names from the memory's module to the array: its own, behind that of the hard block which
        holds it, if one does.
    bits : int
        Bits of a row: the low ones of its piece.
    depth : int
        Rows.
    piece_bits : int
        A divisor of `BUS_BITS`.
    part, parts, first : int
        Which pieces the rows are.
    """

    path: tuple[str, ...]
    bits: int
    depth: int
    piece_bits: int = BUS_BITS
    part: int = 0
    parts: int = 1
    first: int = 0

    @property
    def name(self) -> str:
        """The name in the memory's module: the array's, or its hard block's."""
        return self.path[0]

    def place(self, row: int) -> tuple[int, int]:
        """Bus address of a row's piece, and the number of its lowest bit in the bus word."""
        piece = (self.first + row) * self.parts + self.part
        address, within = divmod(piece, BUS_BITS // self.piece_bits)
        return address, within * self.piece_bits

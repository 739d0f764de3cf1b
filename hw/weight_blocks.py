"""The hard blocks that hold weights, by family: capability, families and simulation ask here.

The keys of `WEIGHT_BLOCKS` are the names of the families (`hw.families`). Nothing here needs
Amaranth, nor anything else of `hw`.
"""

from dataclasses import dataclass

__all__ = ["SPRAM", "WEIGHT_BLOCKS", "MemoryBlock"]


@dataclass(frozen=True, kw_only=True)
class MemoryBlock:
    """A hard block that holds weights: instances ``<name>0``, ``<name>1``, … within the store.

    ``title`` is the block in messages; ``array`` is the memory within the simulated block; ``bits``
    and ``depth`` are its size.
    """

    name: str
    title: str
    array: str
    bits: int
    depth: int


SPRAM = MemoryBlock(name="spram", title="an SPRAM", array="mem", bits=16, depth=16384)
"""SB_SPRAM256KA of the iCE40 (TN1314, table 1)."""

WEIGHT_BLOCKS: dict[str, MemoryBlock | None] = {
    "ice40": SPRAM,
    "ecp5": None,
    "generic": None,
}
"""What the weight memory of each family is made of; None: memories of any depth, which tools
infer."""

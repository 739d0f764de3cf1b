"""The engine's block memories, as the families count them."""

from collections.abc import Sequence

from hw.capability import Capability
from hw.layer_entry import ENTRY_WORDS

__all__ = ["block_memories", "blocks_for"]


def block_memories(capability: Capability) -> list[tuple[int, int]]:
    """Depth and width in bits of each memory that lies in block RAM in every family.

    Not among them: the weights, and what each lane showed last.
    """
    return [
        (capability.bank_words, capability.word_bits),
        (capability.bank_words, capability.word_bits),
        (capability.parameter_words, 32),
        (capability.parameter_words, 16),
        (capability.layer_entries * ENTRY_WORDS, 16),
        *((depth, 32) for depth in capability.image_parts),
    ]


def blocks_for(depth: int, width: int, shapes: Sequence[tuple[int, int]]) -> int:
    """Blocks for a memory, each in the one of its `shapes` (depth, width) that needs the fewest."""
    return min(-(-depth // rows) * -(-width // columns) for rows, columns in shapes)

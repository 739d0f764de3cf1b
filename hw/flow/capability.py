"""What a board is built for: its own capability, or one with another number of lanes."""

from dataclasses import replace

from hw.boards import Board
from hw.capability import Capability
from hw.families import find_family
from model.common.errors import UserError

__all__ = ["board_capability"]


def board_capability(board: Board, lanes: int | None = None) -> Capability:
    """What the board is built for, with another number of lanes if `lanes` is given.

    Raises `UserError` for a number of lanes that cannot be, or that the board has no blocks for.
    """
    if lanes is None:
        return board.capability
    # The processor's memory has the same bytes, whatever the width of a weight word.
    depth = board.capability.weight_depth
    words = board.capability.processor_words * board.capability.lanes // max(lanes, 1)
    try:
        capability = replace(
            board.capability,
            lanes=lanes,
            weight_words=depth - min(words, depth - 1),
            processor_words=words,
        )
    except (TypeError, ValueError) as error:
        raise UserError(str(error)) from error
    family = find_family(board.family)
    for name, need in family.count_blocks(capability).items():
        if need > board.budget[name]:
            raise UserError(
                f"{lanes} lanes need {need} {family.resources[name].short}, {board.title} has "
                f"{board.budget[name]}; {board.capability.lanes} lanes fit"
            )
    return capability

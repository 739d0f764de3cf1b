"""The boards that `hw.build` knows. A board is one data file; the registry is :data:`BOARDS`."""

from hw.boards import icebreaker
from hw.boards.board import Board, UsbChip
from model.common.errors import UserError, nearest

__all__ = ["BOARDS", "Board", "UsbChip", "find_board"]

BOARDS: dict[str, Board] = {board.name: board for board in (icebreaker.BOARD,)}


def find_board(name: str) -> Board:
    """The board of that name; a `UserError` with the known ones and the nearest otherwise."""
    if name not in BOARDS:
        raise UserError(f"Unknown board {name!r}: {nearest(name, list(BOARDS))}")
    return BOARDS[name]

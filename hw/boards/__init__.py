"""The boards that `hw.build` knows. A board is one data file; the registry is :data:`BOARDS`."""

from pathlib import Path

from hw.boards import (
    butterstick,
    colorlight_5a75b_r7_0,
    ecpix5,
    fomu_pvt,
    ice40_up5k_b_evn,
    icebreaker,
    icebreaker_bitsy,
    icepi_zero,
    icesugar,
    icesugar_pro,
    logicbone,
    orangecrab_r0_2,
    ulx3s,
    upduino_v2,
    upduino_v3,
    versa_ecp5,
)
from hw.boards.board import Board, UsbChip
from hw.boards.own import read_board
from model.common.errors import UserError, nearest

__all__ = ["BOARDS", "DEFAULT_BOARD", "Board", "UsbChip", "find_board"]

_ALL = (
    icebreaker.BOARD,
    icebreaker_bitsy.BOARD,
    icesugar.BOARD,
    upduino_v2.BOARD,
    upduino_v3.BOARD,
    ice40_up5k_b_evn.BOARD,
    fomu_pvt.BOARD,
    *ulx3s.BOARDS,
    icepi_zero.BOARD,
    colorlight_5a75b_r7_0.BOARD,
    icesugar_pro.BOARD,
    *orangecrab_r0_2.BOARDS,
    *ecpix5.BOARDS,
    versa_ecp5.BOARD,
    butterstick.BOARD,
    *logicbone.BOARDS,
)

BOARDS: dict[str, Board] = {board.name: board for board in _ALL}

DEFAULT_BOARD = icebreaker.BOARD
"""What is meant unless the user names a board."""


def find_board(name: str) -> Board:
    """The board of that name, or of a file ``NAME.py``.

    Raises `UserError`, with the known ones and the nearest, or with what is wrong with the file.
    """
    if name.endswith(".py"):
        return read_board(Path(name))
    if name not in BOARDS:
        raise UserError(f"Unknown board {name!r}: {nearest(name, list(BOARDS))}")
    return BOARDS[name]

"""A board that a user describes in a file of their own."""

import runpy
from pathlib import Path

from hw.boards.board import Board
from model.common.errors import UserError

__all__ = ["read_board"]


def read_board(path: Path) -> Board:
    """The `BOARD` of a Python file, which is run.

    Raises `UserError` if there is no such file, if it fails, or if its `BOARD` is none.
    """
    if not path.is_file():
        raise UserError(f"No board file {path}")
    try:
        found = runpy.run_path(str(path)).get("BOARD")
    except (Exception, SystemExit) as error:  # anything may be in it
        what = " ".join(str(error).split())
        raise UserError(f"Board file {path} fails: {type(error).__name__}: {what}") from error
    if not isinstance(found, Board):
        raise UserError(f"Board file {path} has no `BOARD = Board(...)` (hw.boards.Board)")
    return found

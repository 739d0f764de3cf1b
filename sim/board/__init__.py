"""The simulated board: the whole system on chip as RTL, with its flash, UART, lights and buttons.

`python -m sim.board` for people; `start` for tests and for the host tool's `--port sim`.
"""

from sim.board.board import Board, check_flash, start

__all__ = ["Board", "check_flash", "start"]

"""Clock and lanes for a number of inferences a second, by the plan's bound."""

import math

from hw.boards import Board
from hw.compile.plan import make_plan
from hw.flow.capability import board_capability
from model.common.errors import UserError
from model.network import Network

__all__ = ["choose"]


def choose(board: Board, network: Network, rate: float) -> tuple[int, float]:
    """Lanes and clock (MHz) with which the board makes `rate` inferences a second, at least.

    The board's own number of lanes is tried first, then more of them. The clock is the slowest in
    whole MHz that is fast enough and that makes a rate of the serial line; it is never faster than
    the board's default clock, which its builds meet.

    Raises
    ------
    UserError
        `rate` is not a positive number, or out of reach: then the text says what is reachable. Or
        the network does not fit.
    """
    if not math.isfinite(rate) or rate <= 0:
        raise UserError(f"Target rate must be a positive number of inferences, not {rate:g}")
    reached = []
    for lanes in _lanes(board):
        cycles = make_plan(network, board_capability(board, lanes)).cycles
        for clock in _clocks(board):
            if clock * 1e6 / cycles >= rate:
                return lanes, clock
        reached.append((board.default_clock_mhz * 1e6 / cycles, lanes))
    most, lanes = max(reached)
    raise UserError(
        f"{board.title} does not reach {rate:g} inferences a second with {network.name}: at least "
        f"{most:.1f} with {lanes} lanes at {board.default_clock_mhz:g} MHz is the most"
    )


def _lanes(board: Board) -> list[int]:
    """The board's number of lanes, and larger ones that its device has blocks for."""
    found = [board.capability.lanes]
    while True:
        try:
            board_capability(board, 2 * found[-1])
        except UserError:
            return found
        found.append(2 * found[-1])


def _clocks(board: Board) -> list[float]:
    """Clocks in MHz that the board can run at, the slowest first."""
    found = []
    for clock in sorted({*range(1, math.ceil(board.default_clock_mhz)), board.default_clock_mhz}):
        try:
            board.baud(board.clock_hz(clock))
        except UserError:
            continue
        found.append(float(clock))
    return found

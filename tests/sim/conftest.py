"""Compiled models, one each for the whole session."""

import pytest

from hw.boards import find_board
from sim.model import compile_model
from tests.sim.helpers import GENERIC, LARGE, LONG


@pytest.fixture(scope="session")
def generic_model():
    """The engine of inferred memories and multipliers."""
    return compile_model(GENERIC)


@pytest.fixture(scope="session")
def long_model():
    """The same with the long pipeline."""
    return compile_model(LONG)


@pytest.fixture(scope="session")
def large_model():
    """Eight lanes, groups of up to 16."""
    return compile_model(LARGE)


@pytest.fixture(scope="session")
def ice40_model():
    """The very design of the iCEBreaker, on models of its SPRAMs and DSPs."""
    board = find_board("icebreaker")
    return compile_model(board.capability, clock_hz=board.clock_hz(board.default_clock_mhz))

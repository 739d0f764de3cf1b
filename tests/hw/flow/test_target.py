"""Lanes and clock for a number of inferences a second."""

import json

import pytest

from hw.boards import BOARDS, find_board
from hw.compile.plan import make_plan
from hw.flow.target import choose
from model import zoo
from model.common.errors import UserError
from model.network import load
from tests.hw.builds import CYCLES

BOARD = find_board("icebreaker")
NETWORK = load(zoo.find())


def test_the_slowest_clock_that_is_fast_enough():
    cycles = make_plan(NETWORK, BOARD.capability).cycles
    lanes, clock = choose(BOARD, NETWORK, 100)
    assert lanes == BOARD.capability.lanes and clock * 1e6 / cycles >= 100
    assert BOARD.clock_below(clock - 1) * 1e6 / cycles < 100
    most = BOARD.default_clock_mhz * 1e6 / cycles
    assert choose(BOARD, NETWORK, most) == (16, BOARD.default_clock_mhz)
    # The PLL makes no whole MHz between the board's own clock and 18.
    assert choose(BOARD, NETWORK, 14.5e6 / cycles) == (16, 18.0)
    assert choose(BOARD, NETWORK, 1) == (16, 12.0)


def test_what_is_reachable_is_said():
    cycles = make_plan(NETWORK, BOARD.capability).cycles
    with pytest.raises(UserError) as caught:
        choose(BOARD, NETWORK, 1000)
    assert str(caught.value) == (
        f"1BitSquared iCEBreaker does not reach 1000 inferences a second with {NETWORK.name}: at "
        f"least {36e6 / cycles:.1f} with 16 lanes at 36 MHz is the most"
    )


def test_a_board_with_one_clock():
    board = BOARDS["upduino_v3"]
    assert choose(board, NETWORK, 1) == (16, 24.0)
    with pytest.raises(UserError, match="with 16 lanes at 24 MHz is the most"):
        choose(board, NETWORK, 150)


@pytest.mark.parametrize("arguments, text", [
    (["--target-rate", "0"], "Target rate must be a positive number of inferences, not 0"),
    (["--target-rate", "nan"], "Target rate must be a positive number of inferences, not nan"),
    (["--target-rate", "5", "--lanes", "8"],
     "--target-rate chooses lanes and clock: leave --lanes and --clock out"),
])  # fmt: skip
def test_bad_arguments(arguments, text, run):
    status, _, stderr = run(*arguments, clock=None)
    assert status == 2 and stderr.splitlines()[-1] == f"error: {text}"


def test_the_plan_is_for_that_clock(run, monkeypatch):
    monkeypatch.setattr(
        "hw.flow.target.make_plan", lambda network, capability: type("", (), {"cycles": CYCLES})
    )
    report = json.loads(run("--target-rate", "14000", "--plan", "--json", clock=None)[1])
    assert report["clock_mhz"] == 18 and report["inferences_per_second_bound"] >= 14000

"""The default network on the full RTL of the board."""

import pytest

from hw.boards import find_board
from hw.compile.plan import make_plan
from model import zoo
from model.network import load
from sim.verify import verify

BOARD = find_board("icebreaker")


@pytest.mark.parametrize("name", [zoo.DEFAULT])
def test_one_frame(ice40_model, tmp_path, name):
    network = load(zoo.find(name))
    result = verify(
        make_plan(network, BOARD.capability), frames=1, workdir=tmp_path, model=ice40_model
    )
    assert result.mismatch is None
    assert result.ok and result.frames == 1
    plan = make_plan(network, BOARD.capability)
    assert result.cycles == plan.cycles
    assert result.layer_cycles == tuple(layer.cycles for layer in plan.layers)

"""The default network on the full RTL of the board."""

import pytest

from hw.boards import find_board
from hw.compile.frames import frame_cycles
from hw.compile.plan import make_plan
from model import zoo
from model.integers import oracle
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
    records = oracle.run(network, network.golden.images[:1]).records
    right = frame_cycles(plan, [layer.value for layer in records])
    assert result.cycles == (int(right.frames[0]),)
    assert result.layer_cycles == (tuple(right.layers[0].tolist()),)
    assert right.frames[0] < plan.cycles, "zeros are skipped"

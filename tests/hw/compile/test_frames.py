"""Cycles of frames whose records are known. The RTL is compared in `tests/sim`."""

import numpy as np

from hw.boards import find_board
from hw.compile.frames import frame_cycles
from hw.compile.plan import make_plan
from model import zoo
from model.integers import oracle
from model.network import load
from sim.networks import images_for
from tests.hw.engine.helpers import plans


def values_like(plan, frames, fill):
    """Values [N, H, W, G] of each convolution's records, all of them `fill`."""
    tensors = plan.network.tensors[1:]
    return [np.full((frames, one.height, one.width, one.groups), fill) for one in tensors]


def test_a_frame_without_zeros_takes_the_bound():
    for plan in plans(15, 3000):
        found = frame_cycles(plan, values_like(plan, 2, 1))
        assert found.frames.tolist() == [plan.cycles] * 2
        assert found.layers.tolist() == [[layer.cycles for layer in plan.layers]] * 2


def test_a_frame_of_zeros_takes_the_least():
    for seed, plan in enumerate(plans(15, 3000)):
        images = images_for(plan.network, seed, 3)
        values = [layer.value for layer in oracle.run(plan.network, images).records]
        found = frame_cycles(plan, values)
        least = frame_cycles(plan, values_like(plan, 1, 0))
        assert (least.layers[0] <= found.layers).all()
        assert (found.layers <= [layer.cycles for layer in plan.layers]).all()
        assert (found.layers.sum(axis=1) == found.frames).all()


def test_each_frame_alone():
    for seed, plan in enumerate(plans(10, 3100)):
        images = images_for(plan.network, seed, 4)
        values = [layer.value for layer in oracle.run(plan.network, images).records]
        together = frame_cycles(plan, values)
        for frame in range(4):
            alone = frame_cycles(plan, [one[frame : frame + 1] for one in values])
            assert alone.layers[0].tolist() == together.layers[frame].tolist()


def test_a_shortcut_reads_the_pixels_of_its_stride():
    """Zeros elsewhere do not change its layer; zeros there make the layer shorter."""
    plan = make_plan(load(zoo.find(None)), find_board("icebreaker").capability)
    tried = 0
    for layer, planned in zip(plan.network.convs, plan.layers, strict=False):
        projection = layer.projection
        if projection is None or projection.stride == 1:
            continue
        tried += 1
        values = values_like(plan, 3, 1)
        source, stride = values[projection.source - 1], projection.stride
        source[1:] = 0
        source[1, ::stride, ::stride] = 1
        spent = frame_cycles(plan, values).layers[:, planned.index]
        assert spent[0] == spent[1] > spent[2]
    assert tried == 3

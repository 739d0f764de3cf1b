"""`benchmarks.skipping` on a network of the zoo and images of another kind."""

import numpy as np
import pytest

from benchmarks.skipping import main, measure
from hw.boards import find_board
from hw.compile.frames import frame_cycles
from hw.compile.plan import make_plan
from model import zoo
from model.integers import oracle
from model.network import load
from sim.images import random_images

pytest.importorskip("torch")


def test_means_are_those_of_the_frames():
    network = load(zoo.find(None))
    plan = make_plan(network, find_board("icebreaker").capability)
    images = random_images(network, 3, seed=1)
    done = []
    report = measure(plan, images, done.append)
    values = [layer.value for layer in oracle.run(network, images).records]
    cycles = frame_cycles(plan, values)
    assert report["cycles_mean"] == pytest.approx(cycles.frames.mean(), abs=0.1)
    assert (report["cycles_least"], report["cycles_most"]) == (
        cycles.frames.min(),
        cycles.frames.max(),
    )
    assert report["cycles_bound"] == plan.cycles > report["cycles_most"]
    for index, layer in enumerate(report["layers"][:-1]):
        assert layer["cycles_mean"] == pytest.approx(cycles.layers[:, index].mean(), abs=0.1)
        assert layer["zero_records"] == pytest.approx(np.mean(values[index] == 0), abs=1e-4)
    assert report["layers"][-1]["zero_records"] is None
    assert done == [3]


def test_bad_input(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--data", str(tmp_path), "--images", "0"])
    assert caught.value.code == 2
    assert "--images must be positive, not 0" in capsys.readouterr().err

"""The plan: what it says of a network, and where a classifier's words lie."""

from dataclasses import replace

import numpy as np

from hw.compile.plan import ClassifierPlace, make_plan
from hw.compile.timing import layer_timing
from hw.pipeline import SHORT
from model.network import Projection
from tests.hw.compile.helpers import SMALL, conv, network
from tests.hw.engine.helpers import plans, record_address


def test_fits():
    plan = make_plan(network(conv()), SMALL)
    assert [layer.kind for layer in plan.layers] == ["conv", "classifier"]
    assert plan.memory["weights"] == (9 * 2 + 8, 512)
    assert plan.memory["parameters"] == (12, 64)
    assert plan.memory["layers"] == (2, 4)
    assert plan.memory["image"] == (128, 256)
    assert plan.memory["activations"] == (64, 512)
    assert plan.multiplications == sum(layer.multiplications for layer in plan.layers)
    assert 0 < plan.utilisation < 1
    assert set(plan.images()) == {"weights", "parameters", "layers"}


def test_image_cycles():
    """Lines of the image are free one after the other; 16 of its bytes take the DMA 144 cycles."""
    plan = make_plan(network(conv()), SMALL)
    lines = layer_timing(plan.layers[0].entry, plan.capability).lines
    assert len(lines) == 8 and list(lines) == sorted(lines)
    # Line 0 is read for output lines 0 and 1, line 7 for 6 and 7.
    last = [lines[min(line + 1, 7)] for line in range(8)]
    done = [SHORT.turnaround_cycles + cycle + 1 for cycle in last]
    assert plan.image_cycles == max(cycle - 144 * line for line, cycle in enumerate(done))
    assert plan.image_cycles < plan.cycles


def test_image_that_is_read_till_the_end():
    shortcut = Projection(source=0, stride=1, exponent=0, weights=np.ones((8, 2), np.int64))
    for made in (
        network(conv(), conv("b", 1, 8, 8, projection=shortcut)),
        network(conv(projection=shortcut)),
        network(conv(), classes=4, source=0, weights=np.ones((4, 2), np.int64)),
    ):
        assert make_plan(made, SMALL).image_cycles is None


def test_unpack_records():
    plan = plans(1, 2200)[0]
    capability = plan.capability
    height, width, channels = plan.layers[0].output_shape
    groups = channels // plan.layers[0].group_size
    rng = np.random.default_rng(0)
    value = rng.integers(0, 16, (height, width, groups))
    winner = rng.integers(0, plan.layers[0].group_size, value.shape)
    words = []
    for pixel in np.stack([value, winner], -1).reshape(-1, groups, 2).tolist():
        padded = pixel + [[0, 0]] * (-groups % capability.records_per_word)
        for start in range(0, len(padded), capability.records_per_word):
            word = padded[start : start + capability.records_per_word]
            words.append(sum((v | k << 4) << n * capability.record_bits
                             for n, (v, k) in enumerate(word)))  # fmt: skip
    found = plan.unpack_records(0, words)
    assert (found[0] == value).all() and (found[1] == winner).all()
    assert record_address(plan, 1, 0, 0) == capability.records_per_word * plan.word_address(
        plan.layers[0].place
    )


def test_classifier_elsewhere():
    """Words left free are zeros; the entry says where it is; nothing else changes."""
    for plan in plans(6, 2300):
        network, capability = plan.network, plan.capability
        moved = make_plan(network, capability, ClassifierPlace(weights=5, parameters=3))
        before, after = plan.layers[-1].entry, moved.layers[-1].entry
        assert after == replace(
            before, weights=before.weights + 5, parameters=before.parameters + 3
        )
        assert [layer.entry for layer in moved.layers[:-1]] == [
            layer.entry for layer in plan.layers[:-1]
        ]
        assert moved.layers[-1].weight_words == plan.layers[-1].weight_words
        assert moved.memory["weights"][0] == plan.memory["weights"][0] + 5
        assert moved.memory["parameters"][0] == plan.memory["parameters"][0] + 3
        for name, gap in (
            ("weights", 5 * capability.bus_words_per_weight_word),
            ("parameters", 6),
        ):
            first = getattr(before, name) * gap // {"weights": 5, "parameters": 3}[name]
            old, new = getattr(plan, name), getattr(moved, name)
            assert (new[:first] == old[:first]).all()
            assert (new[first : first + gap] == 0).all()
            assert (new[first + gap :] == old[first:]).all()
        assert moved.cycles == plan.cycles

"""The device's front door in the simulation: everything over the Wishbone bus, no back door."""

import json

import numpy as np
import pytest

from hw.compile.frames import frame_cycles
from hw.compile.plan import make_plan
from hw.register_map import ENGINE_MAP, constant_words
from hw.soc.accelerator_registers import capability_from_words
from model.integers import oracle
from sim.networks import Limits, images_for, random_network
from sim.run import run_cocotb

NETWORK = random_network(2, Limits(channels=16, layers=2, max_pixels=8, winner_bits=2))
IMAGES = images_for(NETWORK, 5, 2)
LOGITS, LAYERS = (ENGINE_MAP.window(name).base for name in ("LOGITS", "LAYERS"))
#: Behind the network's weights: (byte address, word, byte lanes), one after the other.
SPARE = ENGINE_MAP.window("WEIGHTS").base + 0x8000
BYTES = [(SPARE, 0x0123_4567, 0b1111)] + [(SPARE, 0x89AB_CDEF, 1 << lane) for lane in range(4)]
BYTES += [(SPARE, 0x1357_9BDF, 0b0011), (SPARE, 0x0246_8ACE, 0b1100), (SPARE, 0, 0b0000)]


@pytest.fixture(scope="module", params=["generic_model", "long_model", "ice40_model"])
def front_door(request, tmp_path_factory):
    """(model, plan, what the network loads, what the cocotb test `tests.sim.front_door` saw)."""
    model = request.getfixturevalue(request.param)
    plan = make_plan(NETWORK, model.capability)
    windows = {name.upper(): np.asarray(words).tolist() for name, words in plan.images().items()}
    asked = {
        "windows": windows,
        "bytes": BYTES,
        "images": [_words(image) for image in IMAGES],
        "classes": NETWORK.classifier.channels,
        "errors": [(0x10_0000, None), (LOGITS, 1), (LAYERS, None)],
    }
    folder = tmp_path_factory.mktemp("front-door")
    (folder / "front_door.json").write_text(json.dumps(asked), "utf-8")
    run_cocotb(model, "tests.sim.front_door", folder)
    return model, plan, windows, json.loads((folder / "seen.json").read_text("utf-8"))


def _words(image):
    flat = image.reshape(-1)
    return np.concatenate([flat, np.zeros(-len(flat) % 4, np.uint8)]).view("<u4").tolist()


def test_device_tells_what_it_is(front_door):
    model, _, _, seen = front_door
    told = seen["registers"]
    constants = constant_words(capability=model.capability, clock_hz=36_000_000)
    assert {name: told[name] for name in constants} == constants
    found = capability_from_words(told, family=model.capability.family)
    assert constant_words(capability=found, clock_hz=36_000_000) == constants


def test_memories_hold_what_was_written(front_door):
    _, _, windows, seen = front_door
    assert {"WEIGHTS", "PARAMETERS", "LAYERS"} == windows.keys()
    assert all(len(words) > 10 for words in windows.values())
    assert seen["windows"] == {"WEIGHTS": windows["WEIGHTS"]}  # the others cannot be read


def test_weights_take_single_bytes(front_door):
    *_, windows, seen = front_door
    assert len(windows["WEIGHTS"]) * 4 <= 0x8000
    assert seen["bytes"] == [
        0x0123_4567, 0x0123_45EF, 0x0123_CDEF, 0x01AB_CDEF, 0x89AB_CDEF,
        0x89AB_9BDF, 0x0246_9BDF, 0x0246_9BDF,
    ]  # fmt: skip


def test_frames_after_loading_through_the_bus(front_door):
    _, plan, _, seen = front_door
    expected = oracle.run(NETWORK, IMAGES)
    cycles = frame_cycles(plan, [layer.value for layer in expected.records])
    assert len(seen["frames"]) == len(IMAGES) == 2
    for frame, registers in enumerate(seen["frames"]):
        assert registers["STATUS"] == {"busy": 0, "done": 1, "layer": len(plan.layers) - 1}
        logits = np.array(registers["LOGITS"], np.uint32).view(np.int32)
        assert logits.tolist() == expected.logits[frame].tolist()
        assert registers["CLASS"] == {"class": expected.decisions[frame]}
        assert registers["CYCLES"] == {"cycles": cycles.frames[frame]}


def test_transfers_that_fail(front_door):
    """An unmapped address, windows of one direction, a device that does not answer."""
    *_, seen = front_door
    assert seen["errors"] == [
        "The read of 0x100000 ended in a bus error, with data 0xffffffff",
        f"The write of {LOGITS:#x} ended in a bus error, with data 0xffffffff",
        f"The read of {LAYERS:#x} ended in a bus error, with data 0xffffffff",
        "Nobody answers the read of 0x0 within 64 cycles",
    ]

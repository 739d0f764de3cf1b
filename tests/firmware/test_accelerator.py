import re

import pytest

from firmware.accelerator import Accelerator, DeviceError
from firmware.program import Program
from hw.capability import Capability
from hw.regmap import REGISTER_MAP
from tests.firmware.fake import FakeTransport

PROGRAM = Program(
    name="tiny",
    input_shape=(4, 6, 3),
    classes=tuple("abcdefghij"),
    regions={
        "WEIGHTS": [(i * 2654435761) & 0xFFFF_FFFF for i in range(10_000)],
        "PARAMETERS": list(range(40)),
        "LAYERS": [0xABCD] * 64,
    },
)


def fails(text):
    return pytest.raises(DeviceError, match=f"^{re.escape(text)}$")


def picture(*first):
    return bytes(first) + bytes(4 * 6 * 3 - len(first))


def test_identify_and_stop():
    transport = FakeTransport(capability=Capability(lanes=32, weight_words=4096))
    transport.words["STOP_AFTER"] = 3
    device = Accelerator(transport).device
    assert device.version == (1, 0) and device.clock_hz == 36_000_000
    assert device.capability == Capability(family="generic", lanes=32, weight_words=4096)
    assert transport.writes == [("CONTROL", None, 2), ("STOP_AFTER", None, 0xFF)]


@pytest.mark.parametrize(
    "registers, text",
    [
        ({"ID": 0xFFFFFFFF}, "Not this accelerator: its ID is 0xffffffff instead of 0x4448414d"),
        (
            {"VERSION": 0x2_0000},
            "The device has register map 2.0, this program needs 1.0: "
            "build the bitstream anew with this version",
        ),
        ({"CLOCK_HZ": 0}, "The device tells a clock of 0 Hz"),
        (
            {"ARRAY": 0x0101_0011},
            "The device tells a capability that this program does not know: "
            "Lanes must be a multiple of 8, not 17",
        ),
    ],
)
def test_wrong_device(registers, text):
    with fails(text):
        Accelerator(FakeTransport(registers=registers))


def test_newer_minor_version_is_fine():
    assert Accelerator(FakeTransport(registers={"VERSION": 0x1_0007})).device.version == (1, 7)


def test_load_writes_and_compares_every_word():
    transport = FakeTransport()
    accelerator = Accelerator(transport)
    assert not accelerator.is_loaded(PROGRAM)
    seen = []
    accelerator.load(PROGRAM, progress=lambda *one: seen.append(one))
    assert accelerator.is_loaded(PROGRAM)
    for name, words in PROGRAM.regions.items():
        assert transport.memory[name] == dict(enumerate(words))
    total = 2 * sum(map(len, PROGRAM.regions.values()))
    done = [one[1] for one in seen]
    assert seen[-1][1:] == (total, total) and done == sorted(done)
    assert {one[0] for one in seen} == set(PROGRAM.regions)


@pytest.mark.parametrize("word", [0, 4095, 4096, 9999])
def test_flipped_bit_is_found(word):
    transport = FakeTransport(flips={"WEIGHTS": (word, 1 << 17)})
    accelerator = Accelerator(transport)
    wrote = PROGRAM.regions["WEIGHTS"][word]
    with fails(
        f"Read-back differs in WEIGHTS at word {word} (address {0x200000 + 4 * word:#x}): "
        f"wrote {wrote:#010x}, read {wrote ^ 1 << 17:#010x}"
    ):
        accelerator.load(PROGRAM)
    assert not accelerator.is_loaded(PROGRAM)
    assert transport.words["NETWORK"] == 0


def test_network_register_that_forgets():
    transport = FakeTransport(registers={"NETWORK": 0})
    with fails("Register NETWORK does not keep what is written to it"):
        Accelerator(transport).load(PROGRAM)


def test_classify():
    transport = FakeTransport()
    accelerator = Accelerator(transport)
    accelerator.load(PROGRAM)
    for first, decision in (((1, 2, 250, 4), 2), ((9, 9, 9), 0), (tuple(range(10)), 9)):
        result = accelerator.classify(PROGRAM, picture(*first))
        expected = [value - 100 for value in picture(*first)[:10]]
        assert result.logits == expected and result.decision == decision
        assert result.cycles == 123_456
        assert result.seconds == pytest.approx(123_456 / 36e6)
    words = transport.memory["IMAGE"]
    assert len(words) == 18 and words[0] == 0x03020100 and words[1] == 0x07060504


def test_image_of_another_size():
    accelerator = Accelerator(FakeTransport())
    with pytest.raises(ValueError, match=r"^Image must have 4 x 6 x 3 bytes, not 71$"):
        accelerator.classify(PROGRAM, bytes(71))


def test_image_that_is_no_multiple_of_four_bytes_is_padded():
    transport = FakeTransport()
    program = Program(name="odd", input_shape=(1, 5, 1), classes=tuple("abcdefghij"), regions={})
    Accelerator(transport).classify(program, bytes([1, 2, 3, 4, 5]))
    assert transport.memory["IMAGE"] == {0: 0x04030201, 1: 0x05}


def test_frame_that_does_not_end():
    accelerator = Accelerator(FakeTransport(polls=None), timeout=0.02)
    with fails("The frame did not end within 0.02 s; the device is in layer 0"):
        accelerator.classify(PROGRAM, picture())


def test_frame_that_was_aborted():
    transport = FakeTransport(registers={"STATUS": 0x0500})
    accelerator = Accelerator(transport, timeout=0.02)
    with fails("The frame did not end within 0.02 s; the device is idle"):
        accelerator.classify(PROGRAM, picture())


def test_device_that_does_not_stop():
    with fails("The device did not stop within 0.02 s; the device is in layer 5"):
        Accelerator(FakeTransport(registers={"STATUS": 0x0501}), timeout=0.02)


def test_class_that_does_not_match_the_logits():
    transport = FakeTransport(registers={"CLASS": 3})
    with fails("The device's class 3 does not match its logits, whose maximum is at 1"):
        Accelerator(transport).classify(PROGRAM, picture(1, 9))


def test_wrong_use():
    with pytest.raises(ValueError, match=r"^Time-out must be positive, not 0 s$"):
        Accelerator(FakeTransport(), timeout=0)
    accelerator = Accelerator(FakeTransport())
    limit = REGISTER_MAP.window("LOGITS").size // 4
    text = f"Words {limit - 1} to {limit} must lie in LOGITS, of {limit} words"
    with pytest.raises(ValueError, match=f"^{text}$"):
        accelerator.read_memory("LOGITS", 2, first=limit - 1)


def test_fingerprint_covers_every_word():
    other = {**PROGRAM.regions, "LAYERS": [0xABCD] * 63 + [0xABCC]}
    changed = Program(
        name=PROGRAM.name, input_shape=PROGRAM.input_shape, classes=PROGRAM.classes, regions=other
    )
    assert changed.fingerprint != PROGRAM.fingerprint
    assert 0 < PROGRAM.fingerprint < 1 << 32

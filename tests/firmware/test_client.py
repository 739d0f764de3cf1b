import re

import pytest

from firmware.client import Device, DeviceError, encode_label
from firmware.link import Link
from firmware.protocol import PROTOCOL_VERSION, BootError, Command, Counter, Status
from hw.register_map import REGISTER_MAP
from model.common.errors import UserError
from model.common.invocation import command
from tests.firmware import fake
from tests.firmware.fake import FakeDevice, MemoryPort

ANEW = f"flash the board anew with `{command('firmware', 'flash', '--board', 'BOARD')}`"
RENEW = "renew this program with `pip install -U decisivenets`"
MAP = REGISTER_MAP.version
MAJOR, MINOR = MAP >> 16, MAP & 0xFFFF


def opened(fake_device):
    return Device(Link(MemoryPort(fake_device), name="fake", timeout=0.05))


def fails(text, kind=DeviceError):
    return pytest.raises(kind, match=f"^{re.escape(text)}$")


def image(*first):
    return bytes(first).ljust(fake.IMAGE_BYTES, b"\0")


def test_info():
    device = opened(FakeDevice(boot_error=1))
    info = device.info
    assert info.network_name == "tiny" and info.network_hash == fake.HASH.hex()
    assert info.image_shape == (4, 6, 3) and info.clock_hz == 36_000_000
    assert info.boot_copy == 1 and info.boot_error == BootError.FIRMWARE_COPY
    assert (info.classes, info.features, info.learned, info.max_learned) == (14, 8, 0, 16)
    assert info.frame_seconds == 123_456 / 36e6 and info.flash_id == 0xEF4018 and info.demo == 3
    with pytest.raises(AttributeError, match="^no_such_word$"):
        _ = info.no_such_word


def test_our_version_is_the_fakes():
    assert opened(FakeDevice()).info.map_version >> 16 == REGISTER_MAP.version >> 16


@pytest.mark.parametrize("wrong, text", [
    ({"protocol": 0}, f"The board's firmware speaks protocol version 0, older than this program's "
     f"{PROTOCOL_VERSION}: {ANEW}"),
    ({"protocol": 0xFFFF_FFFF}, "The board's firmware speaks protocol version 4294967295, newer "
     f"than this program's {PROTOCOL_VERSION}: {RENEW}"),
    ({"map_version": MAP - (1 << 16)}, "The board's bitstream has register map "
     f"{MAJOR - 1}.{MINOR}, older than this program's {MAJOR}.{MINOR}: {ANEW}"),
    ({"map_version": MAP + 0x1_0001}, "The board's bitstream has register map "
     f"{MAJOR + 1}.{MINOR + 1}, newer than this program's {MAJOR}.{MINOR}: {RENEW}"),
])  # fmt: skip
def test_other_versions(wrong, text):
    with fails(text):
        opened(FakeDevice(**wrong))


@pytest.mark.parametrize("size", [0, 3, 143, 145])
def test_info_of_another_length(size):
    device = FakeDevice()
    device.override[1] = (0, b"\1\0\0\0".ljust(size, b"\0")[:size])
    with fails(f"The device's reply to INFO has {size} bytes of data instead of 144: it has "
               "another firmware; flash it anew"):  # fmt: skip
        opened(device)


def test_clock_of_zero(monkeypatch):
    monkeypatch.setattr(fake, "CLOCK", 0)
    with fails("The device tells a clock of 0 Hz"):
        opened(FakeDevice())


def test_classify():
    device = opened(FakeDevice())
    pictures = [image(1, 2, 250), image(9, 9), image(*range(14))]
    results = list(device.classify(pictures))
    assert [one.decision for one in results] == [2, 0, 13]
    for one, picture in zip(results, pictures, strict=True):
        assert one.logits == [byte - 100 for byte in picture[:14]] and one.cycles == 123_456


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("window, of_device, more", [(2, 2, 2), (2, 1, 0), (1, 2, 0), (2, 0, 0)])
def test_classify_with_several_under_way(learned, window, of_device, more):
    """All but the first and the last promise the next one, where the device can take it."""
    end = FakeDevice(late=[0.0] + [0.01, 0] * 4, window=of_device)
    device = opened(end)
    list(device.learn("x", [image()]))
    end.executed.clear()
    pictures = [image(*range(index), 200) for index in range(8)]
    decisions = list(device.classify(pictures, learned=learned, window=window))
    assert [one.logits[0] for one in decisions] == [100] + [-100] * 7
    assert learned or [one.decision for one in decisions] == list(range(8))
    assert end.executed == [(3, learned + bits) for bits in (0, *[more] * 6, 0)]


def test_classify_nothing():
    assert list(opened(FakeDevice()).classify([])) == []


def test_image_is_filled_to_whole_words(monkeypatch):
    monkeypatch.setattr(fake, "SHAPE", (3, 5, 1))
    monkeypatch.setattr(fake, "IMAGE_BYTES", 16)
    next(opened(FakeDevice()).classify([bytes(15)]))
    with fails("Image must have 3 x 5 x 1 bytes, not 16", ValueError):
        next(opened(FakeDevice()).classify([bytes(16)]))


@pytest.mark.parametrize("data, text", [
    (b"\2\0\3\0\1\0\0\0" + b"\1\0\0\0" * 3,
     "The device's class 2 is not the first maximum of its logits [1, 1, 1]"),
    (b"\0\0\0\0\1\0\0\0", "The device's class 0 is not the first maximum of its logits []"),
    (b"\0\0\3", "The device's reply to CLASSIFY has 3 bytes of data instead of 8: it has another "
     "firmware; flash it anew"),
    (b"\0\0\2\0\1\0\0\0" + b"\1\0\0\0", "The device's reply to CLASSIFY has 12 bytes of data "
     "instead of 16: it has another firmware; flash it anew"),
])  # fmt: skip
def test_wrong_answers_to_classify(data, text):
    end = FakeDevice()
    end.override[3] = (0, data)
    with fails(text):
        next(opened(end).classify([image()]))


def test_names_come_in_pieces():
    end = FakeDevice()
    assert opened(end).class_names() == fake.CLASSES
    assert [one for one in end.executed if one[0] == 12] == [(12, 0), (12, 12)]
    assert opened(end).class_names(learned=True) == []


@pytest.mark.parametrize("data", [b"", b"short"])
def test_names_that_do_not_come(data):
    end = FakeDevice()
    end.override[12] = (0, data)
    with fails(f"The device's reply to NAMES has {len(data)} bytes, with 0 of 14 names known"):
        opened(end).class_names()


def test_damaged_names_are_numbers():
    end = FakeDevice(boot_error=BootError.DEMO)
    end.override[12] = (Status.NOT_READY, b"")
    assert opened(end).class_names() == [f"class {index}" for index in range(14)]
    end = FakeDevice(boot_error=BootError.DEMO)
    end.override[12] = (Status.WRONG_LENGTH, b"")
    with fails(f"The device refused NAMES: {STATUSES[Status.WRONG_LENGTH]}"):
        opened(end).class_names()


def test_learn_saves_with_the_last_image_and_forget():
    end = FakeDevice()
    device = opened(end)
    steps = list(device.learn("café", [image(1), image(2), image(3)]))
    assert [(one.index, one.images) for one in steps] == [(0, 1), (0, 2), (0, 3)]
    assert [one for one in end.executed if one[0] == 7] == [(7, 0), (7, 0), (7, 1)]
    assert end.counts[7] == 1
    list(device.learn("dog", [image(1)]))
    assert device.class_names(learned=True) == ["café", "dog"]  # the device is asked how many
    decision = next(device.classify([image(3, 7)], learned=True))
    assert decision.decision == 1 and len(decision.logits) == 2
    assert device.forget("café") == 1
    assert device.class_names(learned=True) == ["dog"]
    assert device.forget() == 0


@pytest.mark.parametrize("label, text", [
    ("", "A label must have letters that can be printed, not ''"),
    (" ", "A label must have letters that can be printed, not ' '"),
    ("a\0b", "A label must have letters that can be printed, not 'a\\x00b'"),
    ("a\nb", "A label must have letters that can be printed, not 'a\\nb'"),
    ("0123456789abcdef", "A label has at most 15 bytes of UTF-8, but '0123456789abcdef' has 16"),
    ("éééééééé", "A label has at most 15 bytes of UTF-8, but 'éééééééé' has 16"),
])  # fmt: skip
def test_labels(label, text):
    with fails(text, UserError):
        encode_label(label)


def test_longest_label():
    assert encode_label("é" * 7 + "x") == ("é" * 7 + "x").encode() + b"\0"


def test_features_bench_self_test_counters():
    end = FakeDevice()
    device = opened(end)
    assert next(device.features([image(*range(8))])).features == list(range(8))
    bench = device.bench(1000)
    assert (bench.frames, bench.cycles, bench.frame_cycles) == (1000, 123_556_000, 123_456)
    assert device.self_test().passed
    end.passed = False
    test = device.self_test()
    assert (test.equal, test.vectors, test.passed) == (9, 10, False)
    assert device.counters()[Counter.FRAMES] == 1
    with fails("Frames must be 1 to 65535, not 65536", ValueError):
        device.bench(65_536)
    end.override[5] = (0, bytes(12))
    with fails("The device ran 0 frames instead of 3"):
        device.bench(3)


def test_a_self_test_of_nothing_is_not_passed():
    end = FakeDevice()
    end.override[2] = (0, bytes(12))
    assert not opened(end).self_test().passed


def test_reset():
    end = FakeDevice(late=[0, 0, 0.1])  # INFO, RESET, and INFO while it starts
    device = opened(end)
    assert device.reset().network_name == "tiny"
    assert end.executed == [(1, 0), (9, 0), (1, 0)]
    assert device.link.repeats == 0


def test_words_of_the_bus():
    end = FakeDevice()
    device = opened(end)
    words = [index * 0x01010101 & 0xFFFF_FFFF for index in range(70)]
    device.write(0x20_0000, words)
    assert end.memory == {0x20_0000 + 4 * index: word for index, word in enumerate(words)}
    assert device.read(0x20_0000, 70) == words
    assert [one[1] for one in end.executed if one[0] == 10] == [32, 32, 6]
    with fails("Word or address must fit 32 bits, not 0x100000000", ValueError):
        device.write(0, [1 << 32])


NOT_READY = {
    BootError.DIRECTORY: f"the flash holds no directory, or a damaged one: {ANEW}",
    BootError.FORMAT: "the flash image is of another format version than the firmware: " + ANEW,
    BootError.HARDWARE: "the flash image was made for another bitstream (register map or "
    "capability): " + ANEW,
    BootError.WEIGHTS: f"the network's weights in flash are damaged: {ANEW}",
    BootError.PARAMETERS: f"the network's parameters in flash are damaged: {ANEW}",
    BootError.LAYERS: f"the network's layer table in flash is damaged: {ANEW}",
    BootError.GOLDEN: f"the golden vectors in flash are damaged, so nothing can be tested: {ANEW}",
    BootError.SELF_TEST: "the self-test failed: the hardware computed other logits than the golden "
    f"vectors'; {ANEW}, and if it stays, the board or its clock is at fault",
    99: f"an error that this version does not know (number 99): {ANEW}",
}


@pytest.mark.parametrize("number", NOT_READY)
def test_boot_errors(number):
    device = opened(FakeDevice(boot_error=number))
    assert not device.info.ready
    with fails(f"The device does not classify: {NOT_READY[number]}"):
        device.require_ready()
    with fails(f"The device refused CLASSIFY: it is not ready: {NOT_READY[number]}"):
        next(device.classify([image()]))


@pytest.mark.parametrize("number", [BootError.NONE, BootError.FIRMWARE_COPY, BootError.DEMO])
def test_harmless_boot_errors(number):
    device = opened(FakeDevice(boot_error=number))
    device.require_ready()
    assert device.info.ready and next(device.classify([image(0, 1)])).decision == 1


def test_every_boot_error_is_tested():
    assert set(BootError) - set(NOT_READY) == {0, 1, 10}


STATUSES = {
    Status.UNKNOWN_COMMAND: f"it does not know this command: {ANEW}",
    Status.WRONG_LENGTH: "the request has a length that it does not take",
    Status.WRONG_ARGUMENT: "the request's argument or address is out of range",
    Status.NOT_READY: "it is not ready",
    Status.FULL: "it has no room for one more label: `forget` one first",
    Status.UNKNOWN_LABEL: "it has learned no such label (see `info`)",
    Status.NOTHING_LEARNED: "it has learned nothing yet: `learn LABEL IMAGE...` first",
    Status.FLASH_FAILED: "the flash does not hold what was written: is it protected, or worn out?",
    Status.ENGINE_FAILED: "the engine did not end its frame: `reset` it",
    77: "status 77, which this version does not know",
}


@pytest.mark.parametrize("status", STATUSES)
def test_refusals(status):
    end = FakeDevice()
    end.override[6] = (status, b"ignored")
    with fails(f"The device refused COUNTERS: {STATUSES[status]}"):
        opened(end).counters()


def test_every_status_is_tested():
    assert set(Status) - set(STATUSES) == {Status.OK}
    from firmware.messages import explain_status

    with fails("Status OK is no refusal", ValueError):
        explain_status(0, 0)


def test_refusals_of_the_fake():
    device = opened(FakeDevice())
    with fails(f"The device refused CLASSIFY: {STATUSES[Status.NOTHING_LEARNED]}"):
        next(device.classify([image()], learned=True))
    with fails(f"The device refused FORGET: {STATUSES[Status.UNKNOWN_LABEL]}"):
        device.forget("cat")
    for index in range(16):
        list(device.learn(f"label {index}", [image()]))
    with fails(f"The device refused LEARN: {STATUSES[Status.FULL]}"):
        list(device.learn("one more", [image()]))


def test_network_of_a_file():
    device = opened(FakeDevice())
    device.require_network(fake.HASH.hex(), "tiny")
    other = "ab" * 32
    with fails("The device holds another network (tiny, 000102030405) than the file given (big, "
               "abababababab): flash it with --network, or leave --network out"):  # fmt: skip
        device.require_network(other, "big")


def test_commands_are_the_fakes():
    """The fake was written by number; every command of the protocol is one of them."""
    assert all(hasattr(FakeDevice, f"_command{command}") for command in Command)

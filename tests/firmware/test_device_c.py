"""The firmware's C code, compiled for the host, on a model of its hardware (device_model.c)."""

import ctypes
import random
import struct
import zlib

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.frames import INFO_FIELDS
from firmware.header import FIRMWARE_VERSION
from firmware.layout import (
    DIRECTORY,
    DIRECTORY_WORDS,
    FORMAT_VERSION,
    LEARNED_MAGIC,
    LEARNED_SLOTS,
    Section,
)
from firmware.protocol import BootError, Command, Counter, Status
from hw.register_map import REGISTER_MAP
from hw.soc.addresses import FLASH_BASE
from tests.firmware.device_fuzz import fuzz, wire
from tests.firmware.device_host import (
    CAPABILITY,
    TENTH,
    Device,
    Network,
    compile_host,
    frame,
    label,
    load_host,
    most_learned,
    parse,
    slot_bytes,
)

BANNER = b"DecisiveNets firmware %d.%d, tiny, " % FIRMWARE_VERSION
IMAGE_COMMANDS = (Command.CLASSIFY, Command.FEATURES, Command.LEARN)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return load_host(compile_host(tmp_path_factory.mktemp("host")))


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def device(host, network):
    made = Device(host, network)
    assert made.on() == [BANNER + b"self-test: 2 of 2 vectors equal\r\n"]
    return made


def _info(reply):
    words = struct.unpack_from(f"<{len(INFO_FIELDS)}I", reply)
    return dict(zip(INFO_FIELDS, words, strict=True)), reply[4 * len(INFO_FIELDS) :]


def _counters(device):
    return dict(zip(Counter, struct.unpack("<8I", device.ok(Command.COUNTERS)), strict=True))


def _needs(command, network):
    """Argument and data with which a command is well-formed."""
    image = network.image(1)
    return {
        Command.CLASSIFY: (0, image),
        Command.FEATURES: (0, image),
        Command.BENCH: (1, b""),
        Command.LEARN: (0, label("x") + image),
        Command.READ: (1, bytes(4)),
        Command.WRITE: (0, struct.pack("<2I", REGISTER_MAP.register("LEDS").offset, 0)),
    }.get(command, (0, b""))


# --- boot ---------------------------------------------------------------------------------------


def test_info(device, network):
    words, name = _info(device.ok(Command.INFO))
    assert name == b"tiny".ljust(32, b"\0")
    hashes = {f"network_hash{i}": 0x1111_1111 * (i + 1) for i in range(8)}
    assert words == hashes | {
        "protocol_version": 1,
        "firmware_version": FIRMWARE_VERSION[0] << 16 | FIRMWARE_VERSION[1],
        "map_version": REGISTER_MAP.version,
        "clock_hz": 10 * TENTH,
        "boot_copy": 0,
        "boot_error": 0,
        "selftest_equal": 2,
        "selftest_vectors": 2,
        "image_bytes": 3072,
        "image_height": 32,
        "image_width": 32,
        "image_channels": 3,
        "classes": 5,
        "features": 12,
        "learned": 0,
        "max_learned": 16,
        "flash_id": 0xEF4018,
        "frame_cycles": 1000,
        "demo": 2,
        "window": 2,
    }


def _damage(device, kind, at=0):
    offset, size = device.network.places[kind]
    device.flash[offset + at % size] ^= 0x10


DAMAGE = {
    Section.WEIGHTS: BootError.WEIGHTS,
    Section.PARAMETERS: BootError.PARAMETERS,
    Section.LAYERS: BootError.LAYERS,
    Section.HEADS: BootError.LAYERS,
    Section.GOLDEN_IMAGES: BootError.GOLDEN,
    Section.GOLDEN_LOGITS: BootError.GOLDEN,
}


def _check_refuses(device, error):
    """What must answer does, with the error; the rest is refused."""
    line = device.on()
    assert len(line) == 1
    text = BootError(error).name.lower().replace("_", " ")
    assert line[0].endswith(b"error %d: %s\r\n" % (error, text.encode()))
    for command in Command:
        if command is Command.RESET:
            continue
        argument, data = _needs(command, device.network)
        status, code, reply = device.ask(command, argument, data)
        assert code == error
        if command in (Command.INFO, Command.COUNTERS, Command.READ, Command.WRITE):
            assert status == Status.OK
        elif command is Command.SELF_TEST and error == BootError.SELF_TEST:
            assert status == Status.OK
        else:
            assert (command, status, reply) == (command, Status.NOT_READY, b"")
    assert _info(device.ask(Command.INFO)[2])[0]["boot_error"] == error
    assert not device.host.model_leds() & 1
    assert device.run(30 * TENTH) == [], "stand-alone mode with an error"


@pytest.mark.parametrize("kind", DAMAGE, ids=lambda kind: kind.name)
def test_damaged_section(device, kind):
    _damage(device, kind, at=-1)
    _check_refuses(device, DAMAGE[kind])


@pytest.mark.parametrize("word", range(len(DIRECTORY_WORDS)), ids=lambda w: DIRECTORY_WORDS[w])
def test_damaged_directory(device, word):
    device.flash[DIRECTORY + 4 * word + word % 4] ^= 0x40
    _check_refuses(device, BootError.DIRECTORY)
    assert _info(device.ask(Command.INFO)[2])[0]["classes"] == 0


def test_erased_flash(device):
    device.flash[:] = b"\xff" * len(device.flash)
    _check_refuses(device, BootError.DIRECTORY)


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"format_version": FORMAT_VERSION - 1}, BootError.FORMAT),
        ({"format_version": FORMAT_VERSION + 1}, BootError.FORMAT),
        ({"map_version": 0x10000}, BootError.HARDWARE),
        ({"capability_crc": 1}, BootError.HARDWARE),
        ({"image_bytes": 0}, BootError.DIRECTORY),
        ({"image_bytes": 4}, BootError.DIRECTORY),
        ({"image_bytes": 3076}, BootError.DIRECTORY),
        ({"image_bytes": 3070}, BootError.DIRECTORY),
        ({"classes": 0}, BootError.DIRECTORY),
        ({"classes": 129}, BootError.DIRECTORY),
        ({"features": 129}, BootError.DIRECTORY),
        ({"group_size": 0}, BootError.DIRECTORY),
        ({"reach": 0}, BootError.DIRECTORY),
        ({"reach": 2**24 + 1}, BootError.DIRECTORY),
        ({"classifier_layer": 16}, BootError.DIRECTORY),
        ({"sections": 5}, BootError.DIRECTORY),
        ({"golden": 0}, BootError.GOLDEN),
    ],
)
def test_wrong_directory(device, changes, error):
    device.flash[:] = device.network.flash(**changes)
    _check_refuses(device, error)


def test_failed_self_test(device):
    offset, size = device.network.places[Section.GOLDEN_LOGITS]
    logits = bytearray(device.flash[offset : offset + size])
    logits[4 * device.network.classes] ^= 1  # the second vector's first logit
    device.flash[offset : offset + size] = logits
    directory = DIRECTORY + 4 * len(DIRECTORY_WORDS)
    entries = bytearray(device.flash[directory : directory + 5 * 4 * 8])
    for at in range(0, len(entries), 20):
        if entries[at] == Section.GOLDEN_LOGITS:
            entries[at + 12 : at + 16] = zlib.crc32(logits).to_bytes(4, "little")
    whole = bytes(device.flash[DIRECTORY:directory]) + bytes(entries)
    device.flash[DIRECTORY : DIRECTORY + len(whole) + 4] = whole + zlib.crc32(whole).to_bytes(
        4, "little"
    )
    _check_refuses(device, BootError.SELF_TEST)
    status, _, reply = device.ask(Command.SELF_TEST)
    assert (status, struct.unpack("<3I", reply)) == (Status.OK, (1, 2, 1000))


def test_sections_longer_than_the_dma_counts(host):
    device = Device(host, Network(golden=90))  # 69,120 words
    assert device.on() == [BANNER + b"self-test: 90 of 90 vectors equal\r\n"]
    _damage(device, Section.GOLDEN_IMAGES, at=-1)
    assert device.on() == [BANNER[:-2] + b", error 8: golden\r\n"]


def test_self_test_command_mends_and_finds(device):
    reply = device.ok(Command.SELF_TEST)
    assert struct.unpack("<3I", reply) == (2, 2, 1000)
    _damage(device, Section.WEIGHTS)
    assert device.ask(Command.SELF_TEST) == (Status.NOT_READY, BootError.WEIGHTS, b"")
    assert device.ask(Command.CLASSIFY, 0, bytes(3072))[0] == Status.NOT_READY
    _damage(device, Section.WEIGHTS)  # back as it was
    assert device.ask(Command.SELF_TEST)[:2] == (Status.OK, BootError.NONE)
    device.ok(Command.CLASSIFY, 0, bytes(3072))


@pytest.mark.parametrize("kind", [Section.DEMO_IMAGES, Section.NAMES], ids=lambda kind: kind.name)
def test_damaged_demo_harms_nothing_else(device, kind):
    _damage(device, kind)
    (line,) = device.on()
    assert line == BANNER + b"self-test: 2 of 2 vectors equal, error 10: demo\r\n"
    assert device.run(30 * TENTH) == []
    for command in Command:
        if command is Command.RESET:
            continue
        argument, data = _needs(command, device.network)
        status, error, _ = device.ask(command, argument, data)
        assert error == BootError.DEMO
        unnamed = command is Command.NAMES and kind is Section.NAMES
        assert status == (Status.NOT_READY if unnamed else Status.OK)


def test_second_copy(device):
    device.host.model_copy(1)
    (line,) = device.on()
    assert line == BANNER + b"self-test: 2 of 2 vectors equal, error 1: firmware copy\r\n"
    status, error, reply = device.ask(Command.CLASSIFY, 0, bytes(3072))
    assert (status, error) == (Status.OK, BootError.FIRMWARE_COPY)
    words, _ = _info(device.ask(Command.INFO)[2])
    assert (words["boot_copy"], words["boot_error"]) == (1, BootError.FIRMWARE_COPY)
    _damage(device, Section.WEIGHTS)
    assert device.on()[0].endswith(b"error 5: weights\r\n")  # the worse one


def test_red_light_blinks_the_error(device):
    device.flash[DIRECTORY] ^= 1
    device.on()
    red = []
    for _ in range(400):
        device.run(TENTH // 4)
        red.append(device.host.model_leds() >> 1 & 1)
    flashes = "".join(map(str, red)).strip("0").split("0")
    runs = [one for one in "".join(map(str, red)).split("0" * 20) if "1" in one]
    assert flashes and len(runs) > 3
    for one in runs[1:-1]:  # the first and the last may be cut
        blinks = [part for part in one.split("0") if part]
        assert len(blinks) == BootError.DIRECTORY


# --- stand-alone mode ---------------------------------------------------------------------------


def _show(network, number):
    image = network.image(100 + number)
    logits = network.logits(image, bytes(range(1, 17)))
    decision = logits.index(max(logits))
    name = network.names[decision].encode()
    return b"image %d: %s, 1000 cycles\r\n" % (number + 1, name), decision


def test_stand_alone(device, network):
    # At once, then each second: 0, 1, 2, 3 s.
    assert device.run(35 * TENTH) == [_show(network, number)[0] for number in (0, 1, 0, 1)]
    decision = _show(network, 1)[1]
    assert device.host.model_leds() == 1 | decision << 2
    device.ok(Command.INFO)
    assert device.run(40 * TENTH) == []
    device.host.model_buttons(1)
    assert len(device.run(15 * TENTH)) >= 1
    device.host.model_buttons(0)
    assert len(device.run(20 * TENTH)) >= 1
    device.send(b"\0noise\0")  # no valid request: it goes on
    assert len(device.run(20 * TENTH)) >= 1


def test_stand_alone_without_images(host):
    device = Device(host, Network(demo=0))
    assert device.on() == [BANNER + b"self-test: 2 of 2 vectors equal\r\n"]
    assert device.run(30 * TENTH) == []


def test_stand_alone_when_the_engine_fails(device):
    device.host.model_failing(1)
    assert device.run(5 * TENTH) == [b"image 1: the engine failed\r\n"]


# --- commands -----------------------------------------------------------------------------------


def test_classify(device, network):
    for number in range(5):
        image = network.image(number)
        reply = device.ok(Command.CLASSIFY, 0, image)
        decision, classes, cycles = struct.unpack_from("<HHI", reply)
        logits = network.logits(image, bytes(range(1, 17)))
        assert list(struct.unpack_from("<5i", reply, 8)) == logits
        assert (decision, classes, cycles) == (logits.index(max(logits)), 5, 1000)


def test_heads_change_as_they_are_needed(device, network):
    image = network.image(9)
    for _ in range(2):
        features = struct.unpack("<13I", device.ok(Command.FEATURES, 0, image))
        assert features == (1001, *image[:12])
        device.ok(Command.LEARN, 0, label("a") + image)
        assert struct.unpack_from("<HHI", device.ok(Command.CLASSIFY, 1, image)) == (0, 1, 1002)
        assert struct.unpack_from("<HHI", device.ok(Command.CLASSIFY, 0, image))[1:] == (5, 1000)


def test_bench(device):
    frames, cycles, last = struct.unpack("<3I", device.ok(Command.BENCH, 7))
    assert (frames, last) == (7, 1000) and cycles > 7000
    assert device.ask(Command.BENCH, 0)[0] == Status.WRONG_ARGUMENT
    counters = _counters(device)
    assert counters[Counter.FRAMES] == 7 + 2 and counters[Counter.CYCLES] == 9000


def test_read_and_write(device):
    leds = REGISTER_MAP.register("LEDS").offset
    assert struct.unpack("<3I", device.ok(Command.READ, 3, bytes(4))) == (
        0x4448_414D, REGISTER_MAP.version, 10 * TENTH,
    )  # fmt: skip
    device.ok(Command.WRITE, 0, struct.pack("<2I", leds, 0x55))
    assert struct.unpack("<I", device.ok(Command.READ, 1, struct.pack("<I", leds))) == (0x55,)
    weights = REGISTER_MAP.window("WEIGHTS").base + 0x8000
    words = tuple(range(32))
    device.ok(Command.WRITE, 0, struct.pack("<33I", weights, *words))
    assert struct.unpack("<32I", device.ok(Command.READ, 32, struct.pack("<I", weights))) == words
    assert device.ok(Command.READ, 1, b"\0\0\xff\x02") == b"\xff" * 4  # unmapped
    for argument, data in ((1, b"\2\0\0\0"), (0, bytes(4)), (33, bytes(4))):
        assert device.ask(Command.READ, argument, data)[0] == Status.WRONG_ARGUMENT
    assert device.ask(Command.WRITE, 0, struct.pack("<2I", leds + 1, 0))[0] == Status.WRONG_ARGUMENT


@pytest.mark.parametrize("alias", [0, 1 << 25])
def test_frames_without_end_are_refused(device, alias):
    control = REGISTER_MAP.register("CONTROL")
    data = struct.pack("<2I", control.offset + alias, control.pack(repeat=1))
    assert device.ask(Command.WRITE, 0, data)[0] == Status.WRONG_ARGUMENT


def test_a_write_to_the_flash_does_not_take_the_line(device):
    device.ok(Command.WRITE, 0, struct.pack("<3I", FLASH_BASE, 1, 2))
    device.ok(Command.INFO)


def test_names(device, network):
    assert device.ok(Command.NAMES) == b"".join(map(label, network.names))
    assert device.ok(Command.NAMES, 3) == b"".join(map(label, network.names[3:]))
    assert device.ok(Command.NAMES, 5) == b""
    assert device.ok(Command.NAMES, 0x8000) == b""
    for name in ("one", "two"):
        device.ok(Command.LEARN, 0, label(name) + network.image(1))
    assert device.ok(Command.NAMES, 0x8000) == label("one") + label("two")
    assert device.ok(Command.NAMES, 0x8001) == label("two")


def test_many_names_come_in_parts(host):
    device = Device(host, Network(classes=30))
    device.on()
    names = list(map(label, device.network.names))
    assert device.ok(Command.NAMES, 0) == b"".join(names[:12])
    assert device.ok(Command.NAMES, 24) == b"".join(names[24:])


def test_reset(device):
    device.ok(Command.LEARN, 0, label("lost") + device.network.image(0))
    pieces = device.send(frame(Command.RESET, sequence=9), 100)
    assert parse(pieces[0]) == bytes([Command.RESET | 0x80, 9, 0, 0])
    assert pieces[1].startswith(BANNER)
    assert _info(device.ok(Command.INFO))[0]["learned"] == 0


@pytest.mark.parametrize("command", [0, 13, 31, 32, 45, 0x81, 255])
@pytest.mark.parametrize("size", [0, 5, 140, 3000])
def test_unknown_command(device, command, size):
    assert device.ask(command, 0, bytes(size)) == (Status.UNKNOWN_COMMAND, 0, b"")


@pytest.mark.parametrize("command", Command, ids=lambda one: one.name)
def test_wrong_length(device, command):
    argument, data = _needs(command, device.network)
    for change in (-3072, -17, -4, -1, 1, 4, 500):
        wrong = data[:change] if change < 0 else data + bytes(change)
        if len(wrong) == len(data) or (command is Command.WRITE and change == 4):
            continue  # nothing is left to cut; one word more is right
        assert device.ask(command, argument, wrong) == (Status.WRONG_LENGTH, 0, b""), change
    device.ok(Command.INFO)


def test_engine_fails(device, network):
    image = network.image(0)
    for command, argument, data in (
        (Command.CLASSIFY, 0, image),
        (Command.FEATURES, 0, image),
        (Command.BENCH, 2, b""),
        (Command.LEARN, 0, label("x") + image),
    ):
        device.host.model_failing(1)
        assert device.ask(command, argument, data) == (Status.ENGINE_FAILED, 0, b"")
    assert device.ask(Command.CLASSIFY, 1, image)[0] == Status.NOTHING_LEARNED
    device.ok(Command.CLASSIFY, 0, image)


def test_network_that_cannot_learn(host):
    device = Device(host, Network(features=0, group=0, reach=0))
    device.on()
    image = device.network.image(0)
    device.ok(Command.CLASSIFY, 0, image)
    assert device.ask(Command.FEATURES, 0, image)[0] == Status.NOT_READY
    assert device.ask(Command.LEARN, 0, label("x") + image)[0] == Status.NOT_READY
    assert device.ask(Command.CLASSIFY, 1, image)[0] == Status.NOTHING_LEARNED
    assert device.ask(Command.CLASSIFY, 4, image)[0] == Status.WRONG_ARGUMENT


# --- frames -------------------------------------------------------------------------------------


def test_a_repeated_request_is_not_executed_again(device):
    line = frame(Command.LEARN, 0, label("a") + device.network.image(0), sequence=5)
    first = device.send(line)
    assert device.send(line) == first and device.send(line) == first
    counters = _counters(device)
    assert counters[Counter.REPEATED] == 2 and counters[Counter.REQUESTS] == 4
    other = frame(Command.LEARN, 0, label("a") + device.network.image(0), sequence=6)
    assert struct.unpack("<2I", parse(device.send(other)[0])[4:]) == (0, 2)
    assert struct.unpack("<2I", parse(device.send(line)[0])[4:]) == (0, 3)  # not the last one


def test_frames_of_a_wrong_length_are_no_repeats_of_each_other(device):
    for command in (Command.INFO, Command.CLASSIFY, Command.LEARN, Command.FORGET, 99):
        for size in (300, 300, 301, 4000):
            status, _, _ = device.ask(command, 0, bytes(size))  # asks for its sequence number
            assert status == (Status.UNKNOWN_COMMAND if command == 99 else Status.WRONG_LENGTH)
    assert _counters(device)[Counter.REPEATED] == 0


def test_a_wrong_frame_between_does_not_make_a_repeat_new(device):
    line = frame(Command.BENCH, 3, sequence=5)
    first = device.send(line)
    assert device.send(b"\0\3\1\1\1\0") == []
    assert device.send(line) == first


@pytest.mark.parametrize("command", Command, ids=lambda one: one.name)
def test_cut_at_each_byte(device, command):
    argument, data = _needs(command, device.network)
    line = frame(command, argument, data, sequence=1)
    cuts = range(2, len(line) - 1) if len(line) < 100 else [*range(2, 40), 300, 1800, len(line) - 2]
    before = _counters(device)
    for at in cuts:
        assert device.send(line[:at], 2 * TENTH) == []  # stops in the middle
        device.ok(Command.INFO)
        assert device.send(line[:at] + b"\0") == []  # ends early
    after = _counters(device)
    assert after[Counter.FRAMES] == before[Counter.FRAMES]
    dropped = sum(after[one] - before[one] for one in (Counter.CUT, Counter.DAMAGED))
    assert dropped == 2 * len(cuts)
    assert after[Counter.CUT] - before[Counter.CUT] >= len(cuts)


def test_a_silence_shorter_than_a_tenth_is_no_cut(device):
    line = frame(Command.CLASSIFY, 0, device.network.image(0), sequence=1)
    device.ok(Command.INFO)  # ends the stand-alone mode
    for at in (1, 2, 5, 6, 700, 3000, len(line) - 3, len(line) - 1):
        device.host.model_feed(line[:at], at)
        device.host.model_silence(TENTH * 8 // 10)
        assert parse(device.send(line[at:])[0])[2] == Status.OK
        device.ok(Command.INFO)
    assert _counters(device)[Counter.CUT] == 0


@pytest.mark.parametrize("command", [Command.INFO, Command.LEARN, Command.WRITE])
def test_damaged_at_each_byte(device, command):
    argument, data = _needs(command, device.network)
    line = frame(command, argument, data, sequence=1)
    places = range(1, len(line) - 1) if len(line) < 200 else [*range(1, 40), 1000, len(line) - 2]
    device.ok(Command.INFO)  # ends the stand-alone mode
    for at in places:
        for bit in (0, 7):
            wrong = bytearray(line)
            wrong[at] ^= 1 << bit
            assert device.send(wrong, 2 * TENTH) == [], (at, bit)
            device.ok(Command.INFO)
    counters = _counters(device)
    assert counters[Counter.DAMAGED] + counters[Counter.CUT] >= 2 * len(places)


def test_a_short_frame_with_a_right_crc_is_damaged(device):
    device.ok(Command.INFO)  # ends the stand-alone mode
    for payload in (b"", b"\1", b"\3", b"\7\1", b"\3\1\2", b"\xff\1\2"):
        payload += zlib.crc32(payload).to_bytes(4, "little")
        assert device.send(b"\0" + cobs.encode(payload) + b"\0") == []
    assert _counters(device)[Counter.DAMAGED] == 6


def test_overrun(device):
    """A frame that comes while the device is busy is too long for the FIFO."""
    device.host.model_feed(line := frame(Command.BENCH, 600, sequence=1), len(line))
    image = frame(Command.CLASSIFY, 0, device.network.image(0), sequence=2)
    pieces = device.send(image, 2 * TENTH)
    assert len(pieces) == 1 and parse(pieces[0])[0] == Command.BENCH | 0x80
    counters = _counters(device)
    assert counters[Counter.OVERRUNS] >= 1
    assert counters[Counter.CUT] + counters[Counter.DAMAGED] >= 1


def test_every_length_of_cobs_block_comes_back(device):
    """READ of what WRITE wrote, with zero bytes at each place and at none."""
    base = REGISTER_MAP.window("WEIGHTS").base + 0x8000
    rng = random.Random(1)
    for zeros in (0, 1, 3, 20, 128):
        data = bytearray(rng.randrange(1, 256) for _ in range(128))
        for at in rng.sample(range(128), zeros):
            data[at] = 0
        device.ok(Command.WRITE, 0, struct.pack("<I", base) + data)
        assert device.ok(Command.READ, 32, struct.pack("<I", base)) == data


def test_long_blocks_of_cobs(host):
    """A reply with more than 254 bytes without a zero: negative logits, of many classes."""
    device = Device(host, Network(classes=120))
    device.on()
    image = bytes([1] * 3072)
    reply = device.ok(Command.CLASSIFY, 0, image)
    logits = device.network.logits(image, bytes(range(1, 17)))
    assert list(struct.unpack_from("<120i", reply, 8)) == logits
    assert any(0 not in reply[at : at + 300] for at in range(len(reply) - 300))


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=2000), gap=st.integers(0, 3 * TENTH))
def test_any_bytes(host, data, gap):
    device = Device(host, NETWORK, FLASH)
    device.on()
    device.send(data, gap)
    pieces = [p for p in device.send(frame(Command.INFO, sequence=77)) if not p.endswith(b"\r\n")]
    assert parse(pieces[-1])[:4] == bytes([Command.INFO | 0x80, 77, 0, 0])


NETWORK = Network()
FLASH = bytes(NETWORK.flash())


def test_fuzz(host):
    assert fuzz(Device(host, Network()), seconds=3, seed=random.randrange(1 << 30)) > 100


# --- the next request during a frame --------------------------------------------------------------

FRAME = 218_652  # cycles, of the zoo's network; an image on the line takes 186,000
MORE = 2


def _classify(network, number, *, argument=0):
    return frame(Command.CLASSIFY, argument, network.image(number), sequence=number)


def _check_classified(network, piece, number):
    reply = parse(piece)
    assert reply[:4] == bytes([Command.CLASSIFY | 0x80, number, 0, 0])
    logits = network.logits(network.image(number), bytes(range(1, 17)))
    assert list(struct.unpack_from("<5i", reply, 12)) == logits


def _feed(device, data):
    device.host.model_feed(bytes(data), len(data))


@pytest.mark.parametrize("span", [0, 5000, FRAME])
def test_images_during_frames(device, network, span):
    """As the host has it: two under way, and one more as each reply comes. All are right, nothing
    runs over, and a picture takes a frame and an answer."""
    device.host.model_span(span)
    device.ok(Command.INFO)
    count = 10
    _feed(device, _classify(network, 0, argument=MORE) + _classify(network, 1, argument=MORE))
    for number in range(2, count):
        device.host.model_hold()
        _feed(device, _classify(network, number, argument=MORE if number < count - 1 else 0))
    before = device.host.model_now()
    pieces = device.run()
    cycles = (device.host.model_now() - before) / count
    assert len(pieces) == count
    for number, piece in enumerate(pieces):
        _check_classified(network, piece, number)
    counters = _counters(device)
    assert counters[Counter.REQUESTS] == count + 2
    for none in (Counter.OVERRUNS, Counter.CUT, Counter.DAMAGED, Counter.REPEATED):
        assert counters[none] == 0
    if span == FRAME:
        assert cycles < FRAME + 60 * 3100  # one after the other: twice the bytes


def test_images_during_frames_of_learned_classes(device, network):
    for number in range(3):
        device.ok(Command.LEARN, 0, label(f"{number}") + network.image(number))
    expected = [device.ok(Command.CLASSIFY, 1, network.image(number)) for number in range(20, 24)]
    lines = [_classify(network, n, argument=1 | MORE * (n < 23)) for n in range(20, 24)]
    _feed(device, lines[0] + lines[1])
    for line in lines[2:]:
        device.host.model_hold()
        _feed(device, line)
    assert [parse(piece)[4:] for piece in device.run()] == expected


@pytest.mark.parametrize("window", [0, 1])
def test_not_where_the_network_reads_the_image_for_long(host, window):
    device = Device(host, Network(window=window))
    device.on()
    for argument in (2, 3, 4):
        status, _, _ = device.ask(Command.CLASSIFY, argument, device.network.image(0))
        assert status == Status.WRONG_ARGUMENT


def test_nothing_follows(device, network):
    """The reply comes when a tenth of a second has passed."""
    device.ok(Command.INFO)
    for _ in range(2):
        before = device.host.model_now()
        [piece] = device.send(_classify(network, 1, argument=MORE))
        _check_classified(network, piece, 1)
        waited = device.host.model_now() - before
        assert TENTH < waited < 2 * TENTH
        device.ok(Command.BENCH, 1)  # no repeat, then
    assert _counters(device)[Counter.CUT] == 0


@pytest.mark.parametrize("kind", ["silence", "end", "bit", "without a byte"])
def test_a_damaged_one_follows(device, network, kind):
    """It gets no reply, wherever the damage is; the one before it does, and it itself when it comes
    again, though its image had been in the memory."""
    device.ok(Command.INFO)
    line = _classify(network, 2)
    places = [*range(1, 24), 300, 1800, len(line) - 9, *range(len(line) - 6, len(line) - 1)]
    for at in places:
        wrong = bytearray(line)
        if kind in ("silence", "end"):
            del wrong[max(at, 2) :]
        elif kind == "bit":
            wrong[at] ^= 1 << at % 8
        else:
            del wrong[at]
        _feed(device, _classify(network, 1, argument=MORE) + wrong)
        if kind == "silence":
            device.host.model_silence(2 * TENTH)
        else:
            _feed(device, b"\0")
        pieces = device.run(2 * TENTH)
        assert len(pieces) == 1, at
        _check_classified(network, pieces[0], 1)
        device.ok(Command.BENCH, 1)
        _check_classified(network, device.send(line)[0], 2)
    counters = _counters(device)
    # More where the damage makes a zero byte.
    assert counters[Counter.CUT] + counters[Counter.DAMAGED] >= len(places)
    assert counters[Counter.OVERRUNS] == counters[Counter.REPEATED] == 0


@pytest.mark.parametrize("span", [0, 20_000])
@pytest.mark.parametrize("command", Command, ids=lambda one: one.name)
def test_another_command_follows(device, network, command, span):
    """Both are answered, in order; also where it has a wrong length."""
    argument, data = _needs(command, network)
    device.ok(Command.INFO)
    device.host.model_span(span)
    for change in (0, -1, -4, 1, 4, 40):
        wrong = data[:change] if change < 0 else data + bytes(change)
        if change and (len(wrong) == len(data) or len(wrong) > 200):
            continue
        if command is Command.LEARN and span:
            continue  # nothing takes it during the frame
        other = frame(command, argument, wrong, sequence=9)
        first, second = device.send(_classify(network, 1, argument=MORE) + other)[:2]
        _check_classified(network, first, 1)
        right = change == 0 or (command is Command.WRITE and change in (4, 40))
        status = Status.OK if right else Status.WRONG_LENGTH
        assert parse(second)[:3] == bytes([command | 0x80, 9, status])
        device.ok(Command.BENCH, 1)


def test_an_image_of_a_wrong_length_follows(device, network):
    for size in (0, 1, 3, 4, 5, 300, 3068, 3071, 3073, 3076, 4000):
        line = frame(Command.CLASSIFY, 0, bytes(size), sequence=9)
        pieces = device.send(_classify(network, 1, argument=MORE) + line)
        _check_classified(network, pieces[0], 1)
        assert parse(pieces[1]) == bytes([Command.CLASSIFY | 0x80, 9, Status.WRONG_LENGTH, 0])
        device.ok(Command.BENCH, 1)


def test_repeats_during_frames(device, network):
    """A reply was lost: the request comes again, alone or with the next one behind it."""
    device.ok(Command.INFO)
    one, two = _classify(network, 1, argument=MORE), _classify(network, 2)
    for _ in range(2):
        pieces = device.send(one + two)
        for number, piece in enumerate(pieces, 1):
            _check_classified(network, piece, number)
        assert device.send(two) == pieces[1:]  # a repeat
        assert device.send(one) == pieces[:1]  # none: the next one was executed meanwhile
        assert device.send(one) == pieces[:1]  # a repeat
        assert device.send(one + two) == pieces  # a repeat, and a new one behind it
        assert device.send(one + one) == [pieces[0]] * 2  # both new but the last
        device.ok(Command.BENCH, 1)
    counters = _counters(device)
    assert counters[Counter.REPEATED] == 2 * 4
    assert counters[Counter.FRAMES] == 2 + 2 * 6


def test_the_engine_fails_with_the_next_image_under_way(device, network):
    device.host.model_failing(1)
    one, two = _classify(network, 1, argument=MORE), _classify(network, 2)
    failed, right = device.send(one + two)
    assert parse(failed) == bytes([Command.CLASSIFY | 0x80, 1, Status.ENGINE_FAILED, 0])
    _check_classified(network, right, 2)


def test_a_short_frame_with_a_right_crc_follows(device, network):
    device.ok(Command.INFO)
    for payload in (b"", b"\1", b"\3", b"\7\1", b"\3\1\2", b"\xff\1\2"):
        payload += zlib.crc32(payload).to_bytes(4, "little")
        line = _classify(network, 1, argument=MORE) + b"\0" + cobs.encode(payload) + b"\0"
        [piece] = device.send(line)
        _check_classified(network, piece, 1)
        device.ok(Command.BENCH, 1)
    assert _counters(device)[Counter.DAMAGED] == 6


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 30), count=st.integers(1, 4))
def test_any_lines_follow(host, seed, count):
    """The replies are those that the same lines get without the promise, and the counters."""
    found = []
    for argument in (0, MORE):
        rng = random.Random(seed)
        device = Device(host, NETWORK, FLASH)
        device.on()
        device.ok(Command.INFO)
        lines = [_classify(NETWORK, 77, argument=argument)]
        for _ in range(count):
            lines += wire(rng, NETWORK)
        for line in lines:
            if isinstance(line, int):
                device.host.model_silence(line)
            else:
                _feed(device, line)
        pieces = [piece for piece in device.run(2 * TENTH) if not piece.endswith(b"\r\n")]
        counters = _counters(device)
        if counters[Counter.OVERRUNS]:
            return  # some of this depends on the time
        counters.pop(Counter.CYCLES)
        timed = [parse(one)[0] in (0x85, 0x8A) for one in pieces]  # BENCH and READ: of the timer
        found.append((counters, [
            (timed, parse(one)[:2] if timed else one)
            for one, timed in zip(pieces, timed, strict=True)
        ]))  # fmt: skip
    assert found[0] == found[1]


# --- learning -----------------------------------------------------------------------------------


def reference(sums, images, *, group, reach, capability=CAPABILITY):
    """Shift, weights and biases of classes, as the contract says, in plain Python."""
    means = [
        [(16 * value + count // 2) // count for value in row]
        for row, count in zip(sums, images, strict=True)
    ]
    for e in range(64):
        weights = [[(mean + (8 << e)) >> (e + 4) for mean in row] for row in means]
        biases = [-((sum(w * w for w in row) << e) >> 1) for row in weights]
        if (
            all(w <= 127 for row in weights for w in row)
            and all(b >= -(1 << capability.bias_bits - 1) + 1 for b in biases)
            and all(
                reach * sum(max(row[g : g + group]) for g in range(0, len(row), group))
                <= (1 << capability.accumulator_bits - 1) - 1
                for row in weights
            )
        ):
            return e, weights, biases
    raise AssertionError("no shift fits")


def _words(values):
    return (ctypes.c_uint32 * len(values))(*values)


def _search(host, means, *, group, reach):
    most = ((1 << CAPABILITY.accumulator_bits - 1) - 1) // reach
    for e in range(28):
        bias = _words([0])
        if host.fewshot_fits(_words(means), len(means), group, most, e, bias):
            return e, [host.fewshot_weight(mean, e) for mean in means], -bias[0]
    raise AssertionError("no shift fits")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_arithmetic(host, data):
    group = data.draw(st.sampled_from([1, 2, 3, 4, 8, 16]))
    features = data.draw(st.integers(1, 128 // group)) * group
    reach = data.draw(st.sampled_from([1, 15, 240, 960, 3840, 65535, 1 << 20, 1 << 24]))
    images = data.draw(st.integers(1, max(1, (1 << 27) // reach)))
    top = data.draw(st.sampled_from([0, 1, reach // 16, reach])) * images
    sums = data.draw(st.lists(st.integers(0, top), min_size=features, max_size=features))
    if data.draw(st.booleans()):
        sums = [top] * features
    means = _words([0] * features)
    host.fewshot_means(means, _words(sums), images, features)
    assert list(means) == [(16 * value + images // 2) // images for value in sums]
    e, weights, biases = reference([sums], [images], group=group, reach=reach)
    assert _search(host, list(means), group=group, reach=reach) == (e, weights[0], biases[0])


@given(
    number=st.integers(0, 2**32 - 1), divisor=st.integers(0, 2**32 - 1), shift=st.integers(0, 31)
)
def test_division_and_multiplication(host, number, divisor, shift):
    divisor >>= shift
    assert host.divide(number, divisor) == (number // divisor if divisor else 2**32 - 1)
    assert host.multiply(number, divisor) == number * divisor % 2**32


def _weights(device, classes):
    """Weights of the learned head, as they lie in the weight memory."""
    base = device.network.learned_weights - REGISTER_MAP.window("WEIGHTS").base
    memory, features = device.host.model_weights(), device.network.features
    return [
        [memory[base + (c // 8 * features + i) * 8 + c % 8] for i in range(features)]
        for c in range(classes)
    ]


@pytest.mark.parametrize("features, group, reach", [(12, 4, 255), (16, 1, 300), (128, 2, 4000)])
def test_few_shot_classes_are_those_of_the_reference(host, features, group, reach):
    network = Network(features=features, group=group, reach=reach)
    device = Device(host, network)
    device.on()
    rng = random.Random(features)
    sums, images, names = [], [], []
    for step in range(40):
        name = f"label {rng.randrange(most_learned(features))}"
        image = network.image(rng.randrange(1000))
        if name not in names:
            names.append(name)
            sums.append([0] * features)
            images.append(0)
        number = names.index(name)
        images[number] += 1
        sums[number] = [a + b for a, b in zip(sums[number], image, strict=False)]
        reply = device.ok(Command.LEARN, 0, label(name) + image)
        assert struct.unpack("<2I", reply) == (number, images[number])
        if step % 8 == 7:
            query = network.image(rng.randrange(1000))
            reply = device.ok(Command.CLASSIFY, 1, query)
            _, weights, biases = reference(sums, images, group=group, reach=reach)
            logits = [
                sum(w * v for w, v in zip(row, query, strict=False)) + bias
                for row, bias in zip(weights, biases, strict=True)
            ]
            got = struct.unpack(f"<HHI{len(names)}i", reply)
            assert got == (logits.index(max(logits)), len(names), 1002, *logits)
            assert _weights(device, len(names)) == weights
    assert device.ok(Command.NAMES, 0x8000) == b"".join(map(label, names[:12]))


@pytest.mark.parametrize("levels", [(1, 255), (255, 1), (2, 90, 255, 1), (0, 3), (9, 255)])
def test_all_classes_have_the_shift_of_the_largest(device, network, levels):
    image = [bytes([level] * 3072) for level in levels]
    for number in range(len(levels)):
        device.ok(Command.LEARN, 0, label(f"{number}") + image[number])
    sums = [[level] * network.features for level in levels]
    e, weights, biases = reference(sums, [1] * len(levels), group=4, reach=255)
    assert e == (2 if max(levels) == 255 else 0)
    for query in (*image, bytes(3072)):  # all logits may be negative: no unused class wins
        logits = [
            sum(w * v for w, v in zip(row, query, strict=False)) + bias
            for row, bias in zip(weights, biases, strict=True)
        ]
        got = struct.unpack(f"<HHI{len(levels)}i", device.ok(Command.CLASSIFY, 1, query))
        assert got == (logits.index(max(logits)), len(levels), 1002, *logits)
    assert _weights(device, 16)[len(levels) :] == [[0] * network.features] * (16 - len(levels))


def test_labels_must_be_text(device):
    image = device.network.image(0)
    for wrong in (bytes(16), b"x" * 16, b"\0x".ljust(16, b"\0")):
        assert device.ask(Command.LEARN, 0, wrong + image)[0] == Status.WRONG_ARGUMENT
    assert device.ask(Command.LEARN, 2, label("x") + image)[0] == Status.WRONG_ARGUMENT
    device.ok(Command.LEARN, 0, b"x" * 15 + b"\0" + image)


def test_full(host):
    network = Network(features=128, group=2)
    device = Device(host, network)
    device.on()
    most = most_learned(128)
    assert _info(device.ok(Command.INFO))[0]["max_learned"] == most
    for number in range(most):
        device.ok(Command.LEARN, 0, label(f"{number}") + network.image(number))
    assert device.ask(Command.LEARN, 0, label("one more") + network.image(0))[0] == Status.FULL
    save = device.ok(Command.LEARN, 1, label("0") + network.image(0))
    assert struct.unpack("<2I", save) == (0, 2)
    device.on()
    assert _info(device.ok(Command.INFO))[0]["learned"] == most
    words = struct.unpack(f"<HHI{most}i", device.ok(Command.CLASSIFY, 1, network.image(3)))
    assert words[1] == most


def test_a_class_takes_only_so_many_images(host):
    network = Network(reach=1 << 24)
    device = Device(host, network)
    device.on()
    for _ in range(8):  # 2 ** 27 / reach
        device.ok(Command.LEARN, 0, label("x") + network.image(0))
    assert device.ask(Command.LEARN, 0, label("x") + network.image(0))[0] == Status.FULL


def test_forget(device, network):
    for name in ("one", "two", "three"):
        device.ok(Command.LEARN, 0, label(name) + network.image(len(name)))
    assert device.ask(Command.FORGET, 0, label("four"))[0] == Status.UNKNOWN_LABEL
    before = struct.unpack("<HHI3i", device.ok(Command.CLASSIFY, 1, network.image(1)))
    assert device.ok(Command.FORGET, 0, label("two")) == struct.pack("<I", 2)
    assert device.ok(Command.NAMES, 0x8000) == label("one") + label("three")
    after = struct.unpack("<HHI2i", device.ok(Command.CLASSIFY, 1, network.image(1)))
    assert after[3:] == (before[3], before[5])
    assert _weights(device, 16)[2:] == [[0] * network.features] * 14
    device.on()  # it was saved
    assert device.ok(Command.NAMES, 0x8000) == label("one") + label("three")
    assert device.ok(Command.FORGET) == struct.pack("<I", 0)
    assert device.ask(Command.CLASSIFY, 1, network.image(1))[0] == Status.NOTHING_LEARNED
    device.on()
    assert device.ok(Command.NAMES, 0x8000) == b""


def _slot(device, number):
    """Sequence number and labels of a slot, or None if it is damaged."""
    start = LEARNED_SLOTS[number]
    magic, sequence, _, _, classes, features = struct.unpack_from("<6I", device.flash, start)
    if magic != LEARNED_MAGIC or classes > 16 or features != device.network.features:
        return None
    data = bytes(device.flash[start : start + slot_bytes(classes, features)])
    if zlib.crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
        return None
    size = 20 + 4 * features
    return sequence, [data[24 + size * c :][:16].rstrip(b"\0").decode() for c in range(classes)]


def test_slots_are_written_in_turn(device, network):
    assert _slot(device, 0) is None and _slot(device, 1) is None
    for number in range(5):
        device.ok(Command.LEARN, 1, label(f"{number}") + network.image(number))
        newest, older = _slot(device, number % 2), _slot(device, 1 - number % 2)
        assert newest == (number + 1, [f"{one}" for one in range(number + 1)])
        assert older == ((number, [f"{one}" for one in range(number)]) if number else None)
        device.on()
        assert _info(device.ok(Command.INFO))[0]["learned"] == number + 1
    assert _counters(device)[Counter.SAVES] == 0  # since the start


def test_another_networks_slot_is_ignored(device, network):
    device.ok(Command.LEARN, 1, label("x") + network.image(0))
    device.flash[:] = bytes(network.flash(network_hash1=7))[: LEARNED_SLOTS[0]] + bytes(
        device.flash[LEARNED_SLOTS[0] :]
    )
    device.on()
    assert _info(device.ok(Command.INFO))[0]["learned"] == 0


def test_sequence_numbers_wrap(device, network):
    device.ok(Command.LEARN, 1, label("old") + network.image(0))
    start, size = LEARNED_SLOTS[0], slot_bytes(1, network.features)
    slot = bytearray(device.flash[start : start + size])
    slot[4:8] = b"\xff" * 4
    slot[-4:] = zlib.crc32(slot[:-4]).to_bytes(4, "little")
    device.flash[start : start + size] = slot
    device.on()
    device.ok(Command.LEARN, 1, label("new") + network.image(0))
    assert _slot(device, 0) == (2**32 - 1, ["old"]) and _slot(device, 1) == (0, ["old", "new"])
    device.on()
    assert _info(device.ok(Command.INFO))[0]["learned"] == 2


@pytest.mark.parametrize("byte", range(0, 28 + 20 + 48, 5))
def test_a_damaged_slot_leaves_the_other(device, network, byte):
    device.ok(Command.LEARN, 1, label("one") + network.image(0))
    device.ok(Command.LEARN, 1, label("two") + network.image(1))
    device.flash[LEARNED_SLOTS[1] + byte] ^= 4
    device.on()
    assert device.ok(Command.NAMES, 0x8000) == label("one")
    device.ok(Command.LEARN, 1, label("three") + network.image(1))
    assert _slot(device, 0) == (1, ["one"])  # what was good is not overwritten
    assert _slot(device, 1) == (2, ["one", "three"])


def test_power_fails_at_each_step_of_a_save(device, network):
    device.ok(Command.LEARN, 1, label("one") + network.image(0))
    device.ok(Command.LEARN, 1, label("two") + network.image(1))
    kept = bytes(device.flash)
    line = frame(Command.LEARN, 1, label("three") + network.image(2), sequence=200)
    steps = 0
    while True:
        device.flash[:] = kept
        device.on()
        device.host.model_power(steps)
        device.host.model_feed(line, len(line))
        fault = device.host.model_run(0)
        done = fault is None
        assert done or fault == b"power"
        device.on()
        names = device.ok(Command.NAMES, 0x8000)
        two = label("one") + label("two")
        assert names == (two + label("three") if done else two) or (
            steps >= 16 + slot_bytes(3, 12) - 4 and names == two + label("three")
        )
        if done:
            break
        steps += 1 if steps < 30 else 7
    assert steps >= slot_bytes(3, 12)


def test_flash_that_does_not_keep_what_is_written(device, network):
    device.ok(Command.LEARN, 1, label("one") + network.image(0))
    device.host.model_worn(LEARNED_SLOTS[1] + 40)
    line = label("two") + network.image(1)
    assert device.ask(Command.LEARN, 1, line)[0] == Status.FLASH_FAILED
    assert _slot(device, 0) == (1, ["one"]) and _slot(device, 1) is None
    assert _counters(device)[Counter.SAVES] == 1
    device.host.model_worn(0)
    device.ok(Command.LEARN, 1, line)
    assert _slot(device, 0) == (1, ["one"]) and _slot(device, 1) == (3, ["one", "two"])


def test_flash_that_stays_busy(device, network):
    device.host.model_stuck(1)
    assert device.ask(Command.LEARN, 1, label("x") + network.image(0))[0] == Status.FLASH_FAILED
    device.host.model_stuck(0)
    device.on()
    device.ok(Command.INFO)

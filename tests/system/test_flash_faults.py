"""A flash that is damaged, cut short, of another version, erased or half written: never wrong in
silence. What the documents say (docs/protocol.md, docs/flash-image.md), on the simulated board."""

import random
import struct
import zlib
from itertools import pairwise

import pytest

from benchmarks import boot_bits
from firmware.client import Device, DeviceError, Refusal
from firmware.compile import compile_firmware
from firmware.frames import INFO_FIELDS
from firmware.layout import (
    DIRECTORY,
    DIRECTORY_BYTES,
    DIRECTORY_WORDS,
    FORMAT_VERSION,
    LEARNED_SLOTS,
    SECTIONS,
    SECTOR_BYTES,
    Section,
)
from firmware.link import Link, NoAnswer, Request
from firmware.protocol import MAX_READ_WORDS, BootError, Command, Counter, Status
from hw.register_map import REGISTER_MAP
from hw.soc.addresses import FIRMWARE_BYTES, FIRMWARE_COPIES, processor_memory
from hw.soc.boot_registers import FIRST_ALIVE_BIT
from tests.bitstreams import packed
from tests.system.helpers import (
    BANNER,
    BAUD,
    CAPABILITY,
    GREEN,
    RED,
    Learned,
    Session,
    coloured,
    damaged,
    features_of,
    flash_image,
    logits_of,
    place,
    signed,
    slot,
    told,
    wide,
    with_file,
)

FIRST, SECOND = FIRMWARE_COPIES
SHOWN = coloured("green", 3)
HARMLESS = {BootError.NONE, BootError.FIRMWARE_COPY, BootError.DEMO}

ERRORS = {
    Section.WEIGHTS: BootError.WEIGHTS,
    Section.PARAMETERS: BootError.PARAMETERS,
    Section.LAYERS: BootError.LAYERS,
    Section.HEADS: BootError.LAYERS,
    Section.GOLDEN_IMAGES: BootError.GOLDEN,
    Section.GOLDEN_LOGITS: BootError.GOLDEN,
    Section.DEMO_IMAGES: BootError.DEMO,
    Section.NAMES: BootError.DEMO,
}

REFUSED = [
    Request(command=Command.CLASSIFY, data=SHOWN.tobytes()),
    Request(command=Command.CLASSIFY, argument=1, data=SHOWN.tobytes()),
    Request(command=Command.FEATURES, data=SHOWN.tobytes()),
    Request(command=Command.LEARN, argument=1, data=b"label".ljust(16, b"\0") + SHOWN.tobytes()),
    Request(command=Command.BENCH, argument=1),
    Request(command=Command.FORGET),
    Request(command=Command.NAMES),
]
"""What a device with a boot error does not do."""


def verdict(board, flash, *networks, every=False) -> BootError:
    """The boot error of a device that starts with this flash, which must be one of `networks`.

    Whatever it is, the device answers INFO, and either classifies right or refuses, with the error
    in each reply, in a line of text and, by the green light, without a host. `every`: refused is
    everything that needs the network.
    """
    device = board.restart(flash)
    info = device.info
    error = BootError(info.boot_error)
    assert board.banner.endswith(told(error) if error else "vectors equal")
    assert info.ready == (error in HARMLESS)
    assert info.flash_id == 0xEF4018
    if info.ready:
        [network] = [one for one in networks if one.sha256 == info.network_hash]
        assert info.selftest_equal == info.selftest_vectors > 0
        [decision] = device.classify([SHOWN.tobytes()])
        assert decision.logits == logits_of(network, [SHOWN])[0].tolist()
    else:
        for request in REFUSED if every else REFUSED[:1]:
            reply = device.link.ask(request)
            assert (reply.status, reply.boot_error) == (Status.NOT_READY, error)
        assert not board.board.leds & GREEN
    return error


# --- one bit ------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("section", Section)
def test_one_bit_of_a_section(board, network, image, section, where):
    inside = place(image, section)
    at = {"first": inside[0], "middle": inside[len(inside) // 2], "last": inside[-1]}[where]
    found = verdict(board, damaged(image, at), network, every=where == "first")
    assert found == ERRORS[section]


def test_one_bit_of_the_padding(board, network, image):
    """What no part has counts for nothing: behind the directory, behind a section."""
    behind = [DIRECTORY + DIRECTORY_BYTES - 1, place(image, Section.WEIGHTS).stop]
    assert verdict(board, damaged(image, *behind), network) == BootError.NONE


def directory_bytes(image):
    """Its CRC-32 included."""
    word = DIRECTORY_WORDS.index("bytes")
    return struct.unpack_from("<I", image, DIRECTORY + 4 * word)[0]


@pytest.mark.parametrize("at", [0, 5, 8, 9, 12, 150, -5, -4, -1])
def test_one_bit_of_the_directory(board, network, image, at):
    """Magic, version, its own size, what it says, and its CRC-32: nothing of it is believed."""
    where = DIRECTORY + at % directory_bytes(image)
    assert verdict(board, damaged(image, where), network) == BootError.DIRECTORY
    info = Device(board.link).info
    behind = [name for name in INFO_FIELDS if name.startswith(("network", "image", "class"))]
    assert {info.words[name] for name in [*behind, "features", "learned", "demo"]} == {0}
    assert info.network_name == ""


def test_names_and_demo_images_are_not_missed(board, network, image):
    """Without them it classifies and learns; its classes have no names, and it shows nothing."""
    device = board.restart(damaged(image, place(image, Section.NAMES)[0]))
    assert device.class_names() == ["class 0", "class 1", "class 2"]
    [step] = device.learn("label", [SHOWN.tobytes()])
    assert (step.index, step.images) == (0, 1)
    assert device.read_info().learned == 1
    assert device.class_names(learned=True) == ["label"]


def test_what_still_works(board, image):
    """INFO, COUNTERS, READ, WRITE, RESET with a boot error; SELF_TEST has nothing to say."""
    for at in (DIRECTORY, place(image, Section.LAYERS)[0]):
        device = board.restart(damaged(image, at))
        error = device.info.boot_error
        weights = REGISTER_MAP.window("WEIGHTS").base
        device.write(weights, [1, 2, 3])
        assert device.read(weights, 3) == [1, 2, 3]
        with pytest.raises(Refusal) as refused:
            device.self_test()
        assert refused.value.reply.status == Status.NOT_READY
        assert device.counters()[Counter.REQUESTS] == 5
        assert device.reset().boot_error == error
        assert device.counters()[Counter.REQUESTS] == 2


def test_red_light(board, image):
    """It comes on a quarter of a second after the start, and the green one does not."""
    board.restart(damaged(image, DIRECTORY))
    status = board.wait(lambda status: status["leds"])
    assert status["leds"] == RED


@pytest.mark.slow
@pytest.mark.parametrize("error", [BootError.FIRMWARE_COPY, BootError.FORMAT])
def test_red_light_blinks_the_error(board, image, error):
    """So many times, each a quarter of a second, then a pause; twice, from the first pause on."""
    flash = {
        BootError.FIRMWARE_COPY: damaged(image, FIRST),
        BootError.FORMAT: signed(image, {"format_version": FORMAT_VERSION + 1}),
    }[error]
    assert board.restart(flash).info.boot_error == error
    edges = []
    while len(edges) < 6 * error + 1:
        red = len(edges) % 2 == 0
        status = board.wait(lambda status, red=red: bool(status["leds"] & RED) == red)
        edges.append(status["cycles"] / 36e6)
    times = [round(4 * (after - before)) for before, after in pairwise(edges)]
    pause = max(times)
    assert pause >= 4
    blinks = [1] * (2 * error - 1)
    after = times.index(pause) + 1
    assert after <= 2 * error
    assert times[after : after + 4 * error - 1] == [*blinks, pause, *blinks]


# --- the copies of the firmware -----------------------------------------------------------------


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_one_bit_of_the_first_copy(board, network, image, firmware, where):
    """The second one runs, after one "!"."""
    at = {"first": 0, "middle": len(firmware) // 2, "last": len(firmware) - 1}[where]
    assert verdict(board, damaged(image, FIRST + at), network) == BootError.FIRMWARE_COPY
    assert board.lines[0] == "!" and not any("!" in line for line in board.lines[1:])
    assert Device(board.link).info.boot_copy == 1


@pytest.mark.parametrize("where", ["first", "last"])
def test_one_bit_of_the_second_copy(board, network, image, firmware, where):
    """Nobody notices."""
    at = {"first": 0, "last": len(firmware) - 1}[where]
    assert verdict(board, damaged(image, SECOND + at), network) == BootError.NONE
    assert "!" not in "".join(board.lines)


def impatient(board, slowness=60):
    """A link that sends once, and does not wait long."""
    return Link(board.port, name="port", baud=BAUD, timeout=0.1, tries=1, slowness=slowness)


SWEEP = 16
"""Parts of the bits that the slow tests try; `python -m benchmarks.boot_bits` tries them all."""


def try_bits(places):
    """Each of these bits of the first copy alone, from power-on, with noise in the memory: the
    second copy lives after one strike of the watchdog, and no rule of the flash is broken."""
    copy = compile_firmware(CAPABILITY)
    found = boot_bits.sweep(copy, places, every=20, seed=random.randrange(1 << 20), progress=print)
    assert found == {"second": len(places)}


def test_bits_of_a_copy():
    """Some of the first ones, where once a program stood that nothing checked; some anywhere."""
    once_silent = [8 * at + bit for at, bit in ((80, 6), (81, 3), (87, 0), (87, 7), (16, 6))]
    try_bits([*once_silent, *boot_bits.bits(0, 15, random.Random(1))])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(SWEEP))
def test_more_bits_of_a_copy(part):
    try_bits([bit for bit in boot_bits.bits(1, 320, random.Random(2)) if bit % SWEEP == part])


def test_an_image_of_the_first_format(board, image, firmware):
    """There a copy began with 512 bytes of a program that loaded the rest: its CRC is wrong here,
    so that nothing of it runs."""
    code = firmware[:8000]
    copy = bytes(range(256)) * 2 + code + zlib.crc32(code).to_bytes(4, "little")
    flash = bytearray(image)
    for start in FIRMWARE_COPIES:
        flash[start : start + 0x4000] = copy.ljust(0x4000, b"\xff")
    silent(board, bytes(flash))


@pytest.mark.parametrize("options, lives", [(("-s",), True), ((), False)], ids=["-s", "without -s"])
def test_bitstream_that_puts_the_flash_to_sleep(image, tmp_path, options, lives):
    """A build that is dead on a board is dead here, at each power-up, whatever ran before."""
    flash = packed(tmp_path, *options)
    flash += image[len(flash) :]
    session = Session(image)
    try:
        session.listen(BANNER)
        if lives:
            assert session.restart(flash).info.boot_error == BootError.NONE
            assert session.board.violations == []
        else:
            for _ in range(2):
                silent(session, flash)
                told = session.board.violations
                assert told and all("instruction 0x03 during power-down" in one for one in told)
            assert session.restart(image).info.boot_error == BootError.NONE
            assert session.board.violations[len(told) :] == []
    finally:
        session.stop()


def test_firmware_that_hangs(board, network, image):
    """A host overwrites it with endless loops, by WRITE, until nothing answers: it is loaded anew,
    from the second copy."""
    board.restart(image)
    start = processor_memory(CAPABILITY).start
    loops = [0x0000_006F] * MAX_READ_WORDS  # jal zero, 0
    device = Device(impatient(board, slowness=400))  # a busy machine is no board that hangs
    with pytest.raises(NoAnswer):
        for address in range(start, start + FIRMWARE_BYTES, 4 * MAX_READ_WORDS):
            device.write(address, loops)
    board.lines.clear()
    board.listen(BANNER)
    device = Device(board.link)
    assert device.info.boot_error == BootError.FIRMWARE_COPY
    [decision] = device.classify([SHOWN.tobytes()])
    assert decision.logits == logits_of(network, [SHOWN])[0].tolist()


def test_no_first_copy(board, network, image):
    """Erased, or zeros."""
    for content in (b"\xff", b"\0"):
        flash = image[:FIRST] + content * FIRMWARE_BYTES + image[FIRST + FIRMWARE_BYTES :]
        assert verdict(board, flash, network) == BootError.FIRMWARE_COPY


def silent(board, flash) -> None:
    """Nothing runs: "!" again and again, the red light, and the host tool says what that means."""
    board.board.power_cycle(flash=flash)
    board.port.reset_input_buffer()
    # A busy machine takes long.
    board.wait(lambda status: status["since_start"] > 2**FIRST_ALIVE_BIT)
    with pytest.raises(NoAnswer, match=r"^The firmware on port does not start \(the hardware sends "
                       r"!\): both copies in flash are damaged or of another version"):  # fmt: skip
        Device(impatient(board, slowness=120))
    assert board.board.leds == RED


@pytest.mark.parametrize(
    "offsets", [(0, -1), (-1, 0), (3000, 4000)], ids=["ends", "swapped", "middle"]
)
def test_both_copies(board, image, firmware, offsets):
    places = [
        start + at % len(firmware) for start, at in zip(FIRMWARE_COPIES, offsets, strict=True)
    ]
    silent(board, damaged(image, *places))


def test_erased_flash(board):
    silent(board, b"")


# --- cut short ----------------------------------------------------------------------------------


def test_truncated_image(board, network, image, firmware):
    """What is missing is erased flash."""
    end = DIRECTORY + directory_bytes(image)
    expected = {
        FIRST + len(firmware): BootError.DIRECTORY,  # one copy
        SECOND + len(firmware) - 1: BootError.DIRECTORY,
        DIRECTORY: BootError.DIRECTORY,
        end - 1: BootError.DIRECTORY,
        end: BootError.WEIGHTS,
        SECTIONS: BootError.WEIGHTS,
    }
    for section in Section:
        inside = place(image, section)
        expected |= {inside.stop - 1: ERRORS[section]}
    # The names end in zeros, so that their last byte is not one of erased flash.
    expected |= {place(image, Section.NAMES).stop: BootError.NONE}
    for size, error in expected.items():
        assert verdict(board, image[:size], network) == error, hex(size)


@pytest.mark.parametrize("size", [0x1_0000, FIRST + 0x200, FIRST + 5000])
def test_truncated_before_a_copy_is_whole(board, image, size):
    silent(board, image[:size])


# --- other versions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"format_version": FORMAT_VERSION - 1}, BootError.FORMAT),
        ({"format_version": FORMAT_VERSION + 1}, BootError.FORMAT),
        ({"map_version": REGISTER_MAP.version + 1}, BootError.HARDWARE),
        ({"map_version": REGISTER_MAP.version + (1 << 16)}, BootError.HARDWARE),
        ({"map_version": 0}, BootError.HARDWARE),
        ({"capability_crc": 0x1234_5678}, BootError.HARDWARE),
        ({"magic": 0x464E_5345}, BootError.DIRECTORY),
        # A directory that is sealed, but that no image can have.
        ({"image_bytes": 49}, BootError.DIRECTORY),
        ({"image_bytes": 0}, BootError.DIRECTORY),
        ({"image_bytes": 1 << 20}, BootError.DIRECTORY),
        ({"classes": 0}, BootError.DIRECTORY),
        ({"classes": 129}, BootError.DIRECTORY),
        ({"features": 129}, BootError.DIRECTORY),
        ({"group_size": 0}, BootError.DIRECTORY),
        ({"reach": 0}, BootError.DIRECTORY),
        ({"classifier_layer": 1 << 20}, BootError.DIRECTORY),
        ({"sections": 7}, BootError.DIRECTORY),
        ({"golden": 0}, BootError.GOLDEN),
    ],
    ids=lambda value: value.name if isinstance(value, BootError) else "-".join(map(str, value)),
)
def test_other_versions(board, network, image, changes, error):
    assert verdict(board, signed(image, changes), network) == error


def test_newer_format_with_a_longer_directory(board, network, image):
    """It is known by its version, whatever else it says."""
    words = [*struct.unpack_from("<75I", image, DIRECTORY), 7, 8, 9]
    words[DIRECTORY_WORDS.index("format_version")] = FORMAT_VERSION + 1
    words[DIRECTORY_WORDS.index("bytes")] = 4 * (len(words) + 1)
    body = struct.pack(f"<{len(words)}I", *words)
    body += zlib.crc32(body).to_bytes(4, "little")
    flash = image[:DIRECTORY] + body + image[DIRECTORY + len(body) :]
    assert verdict(board, flash, network) == BootError.FORMAT


# --- half written -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The network that the flash held before."""
    return with_file(wide(32), tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def old(other, firmware):
    learned = Learned((("old", 1, (1,) * 32),))
    image = flash_image(other, firmware, [coloured("blue")])
    content = slot(other, 5, learned)
    start = LEARNED_SLOTS[0]
    return image[:start] + content + image[start + len(content) :]


def half_written(old, new, at):
    """A programmer erases and writes sector by sector from 0 on, and is stopped at `at`."""
    sector = at // SECTOR_BYTES * SECTOR_BYTES
    length = max(len(old), len(new))
    old, new = old.ljust(length, b"\xff"), new.ljust(length, b"\xff")
    erased = b"\xff" * (sector + SECTOR_BYTES - at)
    return new[:at] + erased + old[sector + SECTOR_BYTES :]


def test_interrupted_write_of_an_image(board, network, image, other, old):
    """One network over another: what runs is one of them, whole, or nothing."""
    device = board.restart(old)
    assert device.class_names(learned=True) == ["old"]
    seen = {}
    places = [FIRST + 100, FIRST + 5000, SECOND + 5000, DIRECTORY + 100, DIRECTORY + 2000,
              LEARNED_SLOTS[0] + 100, LEARNED_SLOTS[1], SECTIONS + 10]  # fmt: skip
    places += [place(image, section).stop - 1 for section in Section]
    for at in places:
        seen[at] = verdict(board, half_written(old, image, at), network, other)
        info = Device(board.link).info
        if info.ready:  # never the old labels for the new network
            expected = 1 if info.network_hash == other.sha256 else 0
            assert info.learned == expected, hex(at)
    assert [error.name for error in seen.values()] == [
        "FIRMWARE_COPY", "FIRMWARE_COPY", "NONE", "DIRECTORY", "WEIGHTS", "WEIGHTS", "WEIGHTS",
        "WEIGHTS", "WEIGHTS", "PARAMETERS", "LAYERS", "LAYERS", "GOLDEN", "GOLDEN", "DEMO", "DEMO",
    ]  # fmt: skip
    assert verdict(board, half_written(old, image, len(image)), network) == BootError.NONE


# --- learned classes ----------------------------------------------------------------------------


def test_one_bit_of_a_slot(board, network, plan, image):
    """The other slot counts; where neither is sound, nothing was learned, and that is no error."""
    features = features_of(network, [coloured("red"), coloured("blue"), SHOWN])
    older = Learned().shown("one", features[0])
    newer = older.shown("two", features[1])
    contents = [slot(network, 8, older), slot(network, 9, newer)]
    flash = bytearray(image)
    for start, content in zip(LEARNED_SLOTS, contents, strict=True):
        flash[start : start + len(content)] = content

    def known(*places):
        device = board.restart(damaged(bytes(flash), *places))
        assert device.info.boot_error == BootError.NONE
        if device.info.learned:
            [decision] = device.classify([SHOWN.tobytes()], learned=True)
            state = newer if device.info.learned == 2 else older
            assert decision.logits == state.logits(plan, features[2])
        return device.class_names(learned=True)

    ends = [
        (start, start + len(one) - 1) for start, one in zip(LEARNED_SLOTS, contents, strict=True)
    ]
    assert known() == ["one", "two"]
    for at in (*ends[1], ends[1][0] + 16, ends[1][0] + 60):
        assert known(at) == ["one"]
    assert known(ends[0][1]) == ["one", "two"]
    assert known(ends[0][1], ends[1][1]) == []
    # A slot of another network, sound as it is, is not this one's.
    assert known(ends[1][0] + 8) == ["one"]


# --- anything -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_random_damage(board, network, image, firmware):
    """Bits, bytes, erased and cleared blocks, sectors in the wrong place: right, or refused."""
    rng = random.Random(20)
    seen = set()
    for number in range(150):
        data = bytearray(image)
        for _ in range(rng.choice((1, 1, 2, 5))):
            start = rng.randrange(DIRECTORY, len(data))
            kind = rng.choice(("bit", "byte", "erased", "cleared", "moved", "noise"))
            size = min(rng.choice((4, 64, 256, SECTOR_BYTES)), len(data) - start)
            if kind == "bit":
                data[start] ^= 1 << rng.randrange(8)
            elif kind == "byte":
                data[start] = rng.randrange(256)
            elif kind == "moved":
                source = rng.randrange(DIRECTORY, len(data) - size)
                data[start : start + size] = data[source : source + size]
            else:
                fill = {"erased": b"\xff" * size, "cleared": bytes(size)}
                data[start : start + size] = fill.get(kind) or rng.randbytes(size)
        try:
            seen.add(verdict(board, bytes(data), network))
        except (AssertionError, DeviceError) as error:
            raise AssertionError(f"case {number}: {error}") from error
    assert len(seen) > 5

"""The firmware's C code on the host, with a model of its hardware (device_model.c), for tests."""

import ctypes
import struct
import subprocess
import sys
import zlib

from cobs import cobs

from firmware.compile import SOURCES
from firmware.header import c_header
from firmware.layout import (
    DIRECTORY,
    DIRECTORY_WORDS,
    FORMAT_VERSION,
    LEARNED_BYTES,
    LEARNED_SLOTS,
    MAGIC,
    SECTIONS,
    Section,
)
from firmware.protocol import LABEL_BYTES, MAX_LEARNED, REPLY
from hw.boards import BOARDS
from hw.register_map import REGISTER_MAP
from hw.soc.accelerator_registers import capability_words

CAPABILITY = BOARDS["icebreaker"].capability
_FLASH_BYTES = 0x10_0000
_C_FILES = ("main", "protocol", "network", "learned", "fewshot", "arithmetic", "flash", "text")
_FLAGS = (
    "-std=gnu11", "-O1", "-g", "-DHOST_TEST", "-Wall", "-Wextra", "-Werror",
    "-fsanitize=undefined", "-fsanitize-trap=undefined",
)  # fmt: skip
TENTH = 360_000
"""Cycles of 0.1 s of the model's clock."""


def compile_host(folder):
    """The shared library of firmware and model, made in `folder`."""
    (folder / "constants.h").write_text(c_header(CAPABILITY))
    library = folder / "device.so"
    model = SOURCES.parent.parent / "tests/firmware/device_model.c"
    sources = [*(SOURCES / f"{name}.c" for name in _C_FILES), model]
    subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", *_FLAGS, "-shared", "-fPIC", f"-I{folder}",
         f"-I{SOURCES}", *map(str, sources), "-o", str(library)],
        check=True,
    )  # fmt: skip
    return library


def load_host(library):
    """The library, with the types of what the tests call."""
    host = ctypes.CDLL(str(library))
    u32, text = ctypes.c_uint32, ctypes.c_char_p
    words = ctypes.POINTER(u32)
    for name, result, arguments in (
        ("model_flash", ctypes.POINTER(ctypes.c_uint8), []),
        ("model_weights", ctypes.POINTER(ctypes.c_uint8), []),
        ("model_sent", ctypes.POINTER(ctypes.c_uint8), []),
        ("model_build", None, [words, u32, u32, u32, u32]),
        ("model_buttons", None, [u32]),
        ("model_copy", None, [u32]),
        ("model_power", None, [ctypes.c_int64]),
        ("model_failing", None, [u32]),
        ("model_span", None, [u32]),
        ("model_worn", None, [u32]),
        ("model_stuck", None, [ctypes.c_int]),
        ("model_leds", u32, []),
        ("model_now", ctypes.c_uint64, []),
        ("model_take", u32, []),
        ("model_feed", None, [text, u32]),
        ("model_silence", None, [u32]),
        ("model_hold", None, []),
        ("model_run", text, [u32]),
        ("model_on", text, []),
        ("divide", u32, [u32, u32]),
        ("multiply", u32, [u32, u32]),
        ("fewshot_means", None, [words, words, u32, u32]),
        ("fewshot_weight", u32, [u32, u32]),
        ("fewshot_fits", ctypes.c_int, [words, u32, u32, u32, u32, words]),
    ):
        function = getattr(host, name)
        function.restype, function.argtypes = result, arguments
    return host


class Network:
    """A made-up network for the model, and the flash image that holds it."""

    def __init__(self, *, features=12, classes=5, golden=2, demo=2, reach=255, group=4, window=2):
        self.features, self.classes, self.golden, self.demo = features, classes, golden, demo
        self.reach, self.group, self.window = reach, group, window
        self.learned_weights = REGISTER_MAP.window("WEIGHTS").base + 0x400
        self.learned_parameters = REGISTER_MAP.window("PARAMETERS").base + 0x40
        self.image_bytes = CAPABILITY.image_bytes
        self.names = [f"class {number}" for number in range(classes)]

    def image(self, number):
        """An image; features are its first bytes."""
        return bytes((7 * number + 13 * at + at * at * (number + 3)) % 256 for at in range(3072))

    def sections(self, logits):
        """(Section, bytes, target) of each; `logits` gives a golden image's."""
        window = {one.name: one.base for one in REGISTER_MAP.windows}
        entry = [[head, 0xABCD, *[0] * 30] for head in range(3)]
        layers = b"".join(struct.pack("<32I", *entry[0]) for _ in range(2))
        weights = bytes(range(1, 250)) * 8
        weights = weights[:1024] + bytes(2 * 8 * self.features + 64)
        parameters = struct.pack("<2I", 0x1234, 0x5A5A) + bytes(56 + 8 * max(self.features, 16))
        golden = [self.image(number) for number in range(self.golden)]
        yield Section.WEIGHTS, weights, window["WEIGHTS"]
        yield Section.PARAMETERS, parameters, window["PARAMETERS"]
        yield Section.LAYERS, layers, window["LAYERS"]
        if self.features:
            yield Section.HEADS, b"".join(struct.pack("<32I", *one) for one in entry), 0
        yield Section.GOLDEN_IMAGES, b"".join(golden), 0
        yield (
            Section.GOLDEN_LOGITS,
            b"".join(
                struct.pack(f"<{self.classes}i", *logits(one, weights[:16])) for one in golden
            ),
            0,
        )
        if self.demo:
            images = [self.image(100 + number) for number in range(self.demo)]
            yield Section.DEMO_IMAGES, b"".join(images), 0
        yield Section.NAMES, b"".join(n.encode().ljust(LABEL_BYTES, b"\0") for n in self.names), 0

    def logits(self, image, weights):
        """What the model's engine computes with the head of classes."""
        return [
            sum(image[i] * ((o * 7 + i) % 5) - weights[i] for i in range(16))
            for o in range(self.classes)
        ]

    def flash(self, **changes):
        """The flash image; `changes` replace words of the directory."""
        flash = bytearray(b"\xff" * _FLASH_BYTES)
        offset, entries = SECTIONS, []
        self.places = {}
        for kind, data, target in self.sections(self.logits):
            flash[offset : offset + len(data)] = data
            entries.append((kind, offset, len(data), zlib.crc32(data), target))
            self.places[kind] = (offset, len(data))
            offset += -(-len(data) // 4096) * 4096
        capability = capability_words(CAPABILITY)
        words = {
            "magic": MAGIC,
            "format_version": FORMAT_VERSION,
            "bytes": 4 * (len(DIRECTORY_WORDS) + 5 * len(entries) + 1),
            "map_version": REGISTER_MAP.version,
            "capability_crc": zlib.crc32(struct.pack("<10I", *capability.values())),
            **{f"network_hash{i}": 0x1111_1111 * (i + 1) for i in range(8)},
            **{
                f"network_name{i}": word
                for i, word in enumerate(struct.unpack("<8I", b"tiny".ljust(32, b"\0")))
            },
            "image_bytes": self.image_bytes,
            "image_height": 32,
            "image_width": 32,
            "image_channels": 3,
            "classes": self.classes,
            "features": self.features,
            "group_size": self.group,
            "reach": self.reach,
            "classifier_layer": 0,
            "learned_weights": self.learned_weights,
            "learned_parameters": self.learned_parameters,
            "window": self.window,
            "golden": self.golden,
            "demo": self.demo,
            "sections": len(entries),
        } | changes
        directory = struct.pack(f"<{len(words)}I", *(words[name] for name in DIRECTORY_WORDS))
        directory += b"".join(struct.pack("<5I", *entry) for entry in entries)
        directory += zlib.crc32(directory).to_bytes(4, "little")
        flash[DIRECTORY : DIRECTORY + len(directory)] = directory
        return flash


class Device:
    """The firmware on the host."""

    def __init__(self, host, network, flash=None):
        self.host, self.network = host, network
        self.sequence = 0
        words = (ctypes.c_uint32 * 10)(*capability_words(CAPABILITY).values())
        host.model_build(
            words, network.features, network.classes, network.learned_weights,
            network.learned_parameters,
        )  # fmt: skip
        host.model_copy(0)
        host.model_buttons(0)
        host.model_span(0)
        self.flash = (ctypes.c_uint8 * _FLASH_BYTES).from_address(
            ctypes.addressof(host.model_flash().contents)
        )
        self.flash[:] = network.flash() if flash is None else flash

    def on(self):
        """Power on; what it says."""
        fault = self.host.model_on()
        assert fault is None, fault
        return self.take()

    def take(self):
        """What it has sent: pieces between zero bytes."""
        count = self.host.model_take()
        data = ctypes.string_at(self.host.model_sent(), count)
        assert not data or data[-1] == 0
        return [piece for piece in data.split(b"\0") if piece]

    def run(self, cycles=0):
        """Let it run until all bytes are taken, and so much longer; what is sent."""
        fault = self.host.model_run(cycles)
        assert fault is None, fault
        return self.take()

    def send(self, data, cycles=0):
        """Bytes on the line, and what comes back."""
        self.host.model_feed(bytes(data), len(data))
        return self.run(cycles)

    def ask(self, command, argument=0, data=b"", sequence=None):
        """A request; status, boot error and data of the only reply."""
        if sequence is None:
            self.sequence = (self.sequence + 1) % 256
            sequence = self.sequence
        pieces = self.send(frame(command, argument, data, sequence))
        assert len(pieces) == 1, pieces
        reply = parse(pieces[0])
        assert reply[:2] == bytes([command | REPLY, sequence])
        return reply[2], reply[3], reply[4:]

    def ok(self, command, argument=0, data=b""):
        """The data of a reply that is OK, without a boot error."""
        status, error, reply = self.ask(command, argument, data)
        assert (status, error) == (0, 0)
        return reply


def frame(command, argument=0, data=b"", sequence=0):
    """A request on the line."""
    payload = struct.pack("<BBH", command, sequence, argument) + data
    payload += zlib.crc32(payload).to_bytes(4, "little")
    return b"\0" + cobs.encode(payload) + b"\0"


def parse(piece):
    """The payload of a frame, whose CRC is right."""
    whole = cobs.decode(piece)
    assert int.from_bytes(whole[-4:], "little") == zlib.crc32(whole[:-4])
    return whole[:-4]


def is_text(piece):
    """Whether a piece is a line of text."""
    return piece.endswith(b"\r\n") and piece[:-2].isascii() and piece[:-2].decode().isprintable()


def label(text):
    """A label as it goes over the line."""
    return text.encode().ljust(LABEL_BYTES, b"\0")


def slot_bytes(classes, features):
    """Bytes of a slot."""
    return 24 + classes * (20 + 4 * features) + 4


def most_learned(features):
    """Classes that a slot has room for (the host's memory has as much)."""
    return min(MAX_LEARNED, (LEARNED_BYTES - 28) // (20 + 4 * features))


SLOTS = LEARNED_SLOTS

"""What the tests of the whole system share: small networks, a board under power, its flash."""

import struct
import time
import zlib
from dataclasses import dataclass

import numpy as np

from firmware.client import Device
from firmware.flash_image import make_flash_image, parse
from firmware.frames import request
from firmware.layout import (
    DIRECTORY,
    DIRECTORY_WORDS,
    ENTRY_WORDS,
    LEARNED_MAGIC,
    LEARNED_SLOTS,
    Head,
    Section,
)
from firmware.link import Link
from firmware.ports import SIMULATED_SLOWNESS, open_serial
from firmware.protocol import LABEL_BYTES, BootError, Command
from hw.boards import find_board
from hw.compile.frames import frame_cycles
from hw.compile.heads import DevicePlan
from hw.soc.boot import SILENCE_BIT
from model.common.optional import installed
from model.integers import nearest_mean, oracle, reference
from model.network import Classifier, Conv, Network, save
from sim.board import start
from tests.sim.helpers import with_golden

__all__ = [
    "BOARD",
    "CAPABILITY",
    "GREEN",
    "RED",
    "Learned",
    "Session",
    "coloured",
    "colours",
    "damaged",
    "features_of",
    "flash_image",
    "logits_of",
    "place",
    "signed",
    "slot",
    "slots",
    "told",
    "wide",
    "with_file",
]

BOARD = find_board("icebreaker")
CAPABILITY = BOARD.capability
BAUD = BOARD.baud(BOARD.clock_hz(BOARD.default_clock_mhz))
BANNER = "DecisiveNets firmware "
GREEN, RED = 1, 2  # of the lights


# --- networks -----------------------------------------------------------------------------------


def colours() -> Network:
    """4 x 4 pixels, four features, three classes: what is red, green and blue. Boots in no time."""
    conv = Conv(
        name="filters",
        source=0,
        weights=np.array([[7, -4, -3], [-4, 7, -3], [-3, -4, 7], [2, 2, 2]])[:, None, None, :],
        weight_bits=4,
        stride=1,
        padding=(0, 0, 0, 0),
        bias=np.zeros(4, np.int64),
        multiplier=np.array([551, 551, 551, 643]),
        shift=np.full(4, 16),
        group_size=2,
        activation_bits=4,
    )
    classifier = Classifier(
        name="classifier",
        source=1,
        weights=np.array([[7, -3, -3, 0], [-3, 7, -3, 0], [-3, -3, 7, 1]]),
        weight_bits=4,
        bias=np.array([1, 0, -1]),
    )
    names = ("red", "green", "blue")
    return Network(name="colours", input_shape=(4, 4, 3), layers=(conv, classifier), classes=names)


def wide(features: int = 64) -> Network:
    """4 x 4 pixels and many features: 16 learned classes take two sectors of the flash."""
    rng = np.random.default_rng(5)
    conv = Conv(
        name="filters",
        source=0,
        weights=rng.integers(-8, 8, (features, 1, 1, 3)),
        weight_bits=4,
        stride=1,
        padding=(0, 0, 0, 0),
        bias=rng.integers(-500, 500, features),
        multiplier=np.full(features, 600),
        shift=np.full(features, 16),
        group_size=4,
        activation_bits=4,
    )
    classifier = Classifier(
        name="classifier",
        source=1,
        weights=rng.integers(-8, 8, (5, features)),
        weight_bits=4,
        bias=np.zeros(5, np.int64),
    )
    names = tuple(f"class {number}" for number in range(5))
    return Network(name="wide", input_shape=(4, 4, 3), layers=(conv, classifier), classes=names)


def with_file(network: Network, folder) -> Network:
    """The network with golden vectors, from its file."""
    return save(with_golden(network, frames=2), folder / f"{network.name}.dham")


def coloured(name: str, seed: int = 0) -> np.ndarray:
    """uint8 [4, 4, 3]: noise, in which one colour is the strongest."""
    pixels = np.random.default_rng([seed, 0xC0]).integers(0, 90, (4, 4, 3))
    pixels[:, :, ("red", "green", "blue").index(name)] += 130
    return pixels.astype(np.uint8)


def logits_of(network: Network, images) -> np.ndarray:
    """int64 [N, classes], by torch; by the numpy oracle where torch is not installed."""
    implementation = reference if installed("torch") else oracle
    return implementation.run(network, np.stack(images)).logits


def cycles_of(plan: DevicePlan, head: Head, images) -> list[int]:
    """Cycles of each image's frame with a head: what the engine's own counter must say."""
    compiled = plan.plans[head]
    records = oracle.run(compiled.network, np.stack(images)).records
    return frame_cycles(compiled, [layer.value for layer in records]).frames.tolist()


def features_of(network: Network, images) -> np.ndarray:
    """int64 [N, features]: what the classifier reads, summed over its pixels, by the oracle."""
    source = network.classifier.source
    records = oracle.run(network, np.stack(images)).records[source - 1]
    return oracle.expand(records, network.tensors[source].group_size).sum(axis=(1, 2))


# --- what was learned -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Learned:
    """Learned classes: label, number of images, their summed features."""

    classes: tuple[tuple[str, int, tuple[int, ...]], ...] = ()

    @property
    def labels(self) -> list[str]:
        return [label for label, _, _ in self.classes]

    def shown(self, label: str, features) -> "Learned":
        """One more image of a label."""
        features = tuple(int(one) for one in features)
        found = list(self.classes)
        if label in self.labels:
            at = self.labels.index(label)
            _, images, sums = found[at]
            found[at] = (label, images + 1, tuple(map(sum, zip(sums, features, strict=True))))
        else:
            found.append((label, 1, features))
        return Learned(tuple(found))

    def without(self, label: str) -> "Learned":
        return Learned(tuple(one for one in self.classes if one[0] != label))

    def logits(self, plan: DevicePlan, features) -> list[int]:
        """Of one image, by `model.integers.nearest_mean`."""
        nearest = nearest_mean.learn(
            np.array([sums for _, _, sums in self.classes]),
            np.array([images for _, images, _ in self.classes]),
            reach=plan.reach,
            group_size=plan.group_size,
            bias_bits=plan.capability.bias_bits,
            accumulator_bits=plan.capability.accumulator_bits,
        )
        return nearest.logits(np.array([features]))[0].tolist()


def slot(network: Network, sequence: int, learned: Learned) -> bytes:
    """A slot of learned classes as `docs/flash-image.md` has it."""
    words = [LEARNED_MAGIC, sequence, *struct.unpack("<2I", bytes.fromhex(network.sha256)[:8])]
    words += [len(learned.classes), network.classifier.weights.shape[1]]
    data = struct.pack("<6I", *words)
    for label, images, sums in learned.classes:
        data += label.encode().ljust(LABEL_BYTES, b"\0")
        data += struct.pack(f"<{1 + len(sums)}I", images, *sums)
    return data + zlib.crc32(data).to_bytes(4, "little")


def slots(network: Network, flash: bytes) -> list[tuple[int, Learned] | None]:
    """What the two slots of a flash hold: sequence number and classes; None: nothing sound."""
    return [_read_slot(network, flash[start:]) for start in LEARNED_SLOTS]


def _read_slot(network, data):
    features = network.classifier.weights.shape[1]
    magic, sequence, *_, count, _ = head = struct.unpack("<6I", data[:24].ljust(24, b"\xff"))
    empty = slot(network, sequence, Learned())
    size = 24 + count * (LABEL_BYTES + 4 + 4 * features)
    if count > 16 or magic != LEARNED_MAGIC or data[8:16] != empty[8:16] or head[5] != features:
        return None
    if zlib.crc32(data[:size]) != int.from_bytes(data[size : size + 4], "little"):
        return None
    classes = []
    for at in range(24, size, LABEL_BYTES + 4 + 4 * features):
        label = data[at : at + LABEL_BYTES].rstrip(b"\0").decode()
        images, *sums = struct.unpack_from(f"<{1 + features}I", data, at + LABEL_BYTES)
        classes.append((label, images, tuple(sums)))
    return sequence, Learned(tuple(classes))


def told(error: BootError) -> str:
    """The end of the banner for a boot error."""
    return f", error {error:d}: {error.name.lower().replace('_', ' ')}"


# --- flash images -------------------------------------------------------------------------------


def flash_image(network: Network, copy: bytes, demo=()) -> bytes:
    """Everything but the bitstream, which a simulation does not need."""
    return make_flash_image(
        bitstream=None, copy=copy, network=network, capability=CAPABILITY,
        demo=[image.tobytes() for image in demo],
    ).bytes  # fmt: skip


def place(data: bytes, section: Section) -> range:
    """Where a section lies in an image."""
    name = section.name.replace("_", " ").capitalize()
    [part] = [one for one in parse(data).parts if one.name == name]
    return range(part.offset, part.offset + part.size)


def damaged(data: bytes, *places: int) -> bytes:
    """With one bit changed in each of these bytes."""
    changed = bytearray(data)
    for place in places:
        changed[place] ^= 1 << place % 8
    return bytes(changed)


def signed(data: bytes, changes=(), entries=()) -> bytes:
    """With other words in the directory, {word: value} and {(section, word): value}, and its
    CRC-32 made anew."""
    changed = bytearray(data)
    for name, value in dict(changes).items():
        struct.pack_into("<I", changed, DIRECTORY + 4 * DIRECTORY_WORDS.index(name), value)
    for (section, name), value in dict(entries).items():
        place = len(DIRECTORY_WORDS) + len(ENTRY_WORDS) * (section - 1) + ENTRY_WORDS.index(name)
        struct.pack_into("<I", changed, DIRECTORY + 4 * place, value)
    (size,) = struct.unpack_from("<I", changed, DIRECTORY + 4 * DIRECTORY_WORDS.index("bytes"))
    body = changed[DIRECTORY : DIRECTORY + size - 4]
    struct.pack_into("<I", changed, DIRECTORY + size - 4, zlib.crc32(body))
    return bytes(changed)


# --- the board ----------------------------------------------------------------------------------


class Session:
    """A simulated board under power, with a link to it. A context manager.

    Leaving it without an exception asserts that nothing broke the flash's or the UART's rules.
    """

    def __init__(self, flash: bytes, **options):
        self.board = start(flash, wait=True, **{"timing": "short"} | options)
        self.lines: list[str] = []
        self.port = open_serial(self.board.port, baud=BAUD)
        self.link = Link(
            self.port, name=self.board.port, baud=BAUD, slowness=SIMULATED_SLOWNESS,
            on_text=self.lines.append,
        )  # fmt: skip

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind, *_) -> None:
        violations = [] if kind else self.board.violations
        self.stop()
        assert violations == []

    def stop(self) -> None:
        self.link.close()
        self.board.stop()

    def restart(self, flash: bytes | None = None) -> Device:
        """Power off and on, with another content of the flash; the device, when it has started."""
        self.board.power_off()
        self.port.reset_input_buffer()
        self.lines.clear()
        self.board.power_cycle(flash=flash)
        self.listen(BANNER)
        return Device(self.link)

    @property
    def banner(self) -> str:
        """The last line with which a device said that it had started."""
        return [line for line in self.lines if line.startswith(BANNER)][-1]

    def device(self) -> Device:
        return Device(self.link)

    def listen(self, text: str) -> None:
        """Until the device says a line with this text, or its watchdog has looked four times."""
        end = self.board.status()["cycles"] + 4 * 2**SILENCE_BIT
        while not any(text in line for line in self.lines):
            assert self.board.status()["cycles"] < end, f"no {text!r} in {self.lines}"
            self.link.listen(0.01)

    def send(self, command: Command, argument: int = 0, data: bytes = b"") -> None:
        """A request whose reply nobody waits for."""
        self.port.write(request(command, 7, argument, data))

    def wait(self, condition, seconds: float = 60) -> dict:
        """Until the board's status fulfils a condition; the status."""
        end = time.monotonic() + seconds
        while not condition(status := self.board.status()):
            assert time.monotonic() < end, status
            time.sleep(0.002)
        return status

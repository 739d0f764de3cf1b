"""What comes over the line: inputs of the fuzzing target, made by code, and put on any port.

An input is a row of steps as `fuzz/target.c` reads them. The functions here make steps; `expand`
does with them what the target does.
"""

import random
import struct
import zlib
from collections.abc import Iterator

from cobs import cobs

from firmware.frames import decode, on_the_line
from firmware.protocol import LABEL_BYTES, Command
from hw.capability import Capability
from hw.register_map import REGISTER_MAP
from hw.soc.addresses import FLASH_BASE, FLASH_SIZE, processor_memory

__all__ = ["FOUND", "SILENCES", "describe", "expand", "frames_of", "random_input", "seeds"]

RAW, FRAME, IMAGE, REPEAT, DAMAGE, CUT, SILENCE, RUN = range(8)
SILENCES = (0.01, 0.15)  # seconds
EVENTS = ("engine fails", "flash stays busy", "flash is worn", "button")
_FIRST_EVENT = 28
_BUS_BYTES = FLASH_BASE + FLASH_SIZE
_MOST_LINE = 0x1_0000


# --- steps ---------------------------------------------------------------------------------------


def raw(data: bytes) -> bytes:
    """Bytes as they are."""
    parts = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes([RAW, len(part)]) + part for part in parts)


def payload(data: bytes) -> bytes:
    """A frame of any payload of at most 255 bytes, with its CRC."""
    return bytes([FRAME, len(data)]) + data


def request(command: int, sequence: int = 1, argument: int = 0, data: bytes = b"") -> bytes:
    """A request without an image."""
    return payload(struct.pack("<BBH", command, sequence, argument) + data)


def image(
    command: int, sequence: int = 1, argument: int = 0, *, label: str = "", seed: int = 0,
    change: int = 0,
) -> bytes:  # fmt: skip
    """A request with an image, `change` bytes longer than it should be."""
    head = struct.pack("<BBH", command, sequence, argument)
    if command == Command.LEARN:
        head += label.encode().ljust(LABEL_BYTES, b"\0")
    return bytes([IMAGE]) + head + struct.pack("<Bb", seed, change)


REPEATED = bytes([REPEAT])
"""The last frame once more."""


def damaged(position: int, xor: int) -> bytes:
    """The last frame with one byte changed."""
    return bytes([DAMAGE, position, xor])


def without(position: int) -> bytes:
    """The last frame without one byte."""
    return bytes([DAMAGE | 1 << 3, position, 0])


def doubled(position: int) -> bytes:
    """The last frame with one byte twice."""
    return bytes([DAMAGE | 2 << 3, position, 0])


def cut(count: int) -> bytes:
    """The first bytes of the last frame."""
    return bytes([CUT, count])


def silence(long: bool = True) -> bytes:
    return bytes([SILENCE | long << 3])


def run(value: int, blocks: int) -> bytes:
    """`blocks` times 64 bytes of one value; at most 28."""
    return bytes([RUN | (blocks - 1) << 3, value])


def event(number: int) -> bytes:
    return bytes([RUN | (_FIRST_EVENT + number) << 3])


# --- inputs --------------------------------------------------------------------------------------


def _requests() -> dict[str, bytes]:
    """One valid frame of each command."""
    place = REGISTER_MAP.window("IMAGE").base.to_bytes(4, "little")
    label = b"x".ljust(LABEL_BYTES, b"\0")
    made = {
        Command.CLASSIFY: image(Command.CLASSIFY),
        Command.FEATURES: image(Command.FEATURES),
        Command.BENCH: request(Command.BENCH, argument=2),
        Command.LEARN: image(Command.LEARN, argument=1, label="x"),
        Command.FORGET: image(Command.LEARN, label="x") + request(Command.FORGET, data=label),
        Command.READ: request(Command.READ, argument=3, data=bytes(4)),
        Command.WRITE: request(Command.WRITE, data=place + bytes(range(8))),
    }
    return {one.name: made.get(one, request(one)) for one in Command}


FOUND = {
    # Its CRC went by with the image; it was taken for a repeat of the last short request, and got
    # that one's reply (libFuzzer). By now its first word must be that request's CRC.
    "image a word short, behind a short request": request(Command.INFO, 7)
    + payload(
        struct.pack("<BBHI", Command.CLASSIFY, 3, 0, zlib.crc32(bytes([Command.INFO, 7, 0, 0])))
        + bytes(40)
    ),
    "label and image a word short": image(Command.LEARN, 3, label="x", change=-4) * 2
    + request(Command.FORGET, 3, data=b"x".ljust(LABEL_BYTES, b"\0")),
    # 33 words fill the request's memory to its last byte, as 32 words and a CRC would (reading).
    "WRITE of a word too many": request(
        Command.WRITE, data=REGISTER_MAP.window("IMAGE").base.to_bytes(4, "little") + bytes(4 * 33)
    ),
}
"""Inputs that showed a fault once."""


def _during_a_frame(seeds: dict[str, bytes]) -> dict[str, bytes]:
    """What comes behind a CLASSIFY that promises another one."""
    promise = image(Command.CLASSIFY, 50, 2, seed=50)
    images = [image(Command.CLASSIFY, n, 2 * (n < 54), seed=n) for n in range(50, 55)]
    made = {f"{name} during a frame": promise + seed for name, seed in seeds.items()}
    made["images during frames"] = b"".join(images)
    # So many as the FIFO holds.
    made["images during frames repeated"] = b"".join(one + REPEATED for one in images[1:])
    made["nothing during a frame"] = promise + silence() + images[-1]
    made["learned during a frame"] = (
        image(Command.LEARN, 1, label="x") + image(Command.CLASSIFY, 2, 3) + images[-1]
    )
    for change in (-48, -45, -44, -4, -1, 1, 4, 100):
        made[f"image {change:+} bytes during a frame"] = promise + image(
            Command.CLASSIFY, 9, change=change
        )
    for at in (1, 4, 8, 9, 13, 40, 58):
        cut_off = promise * 2 + cut(at)
        made[f"image cut at {at} during a frame"] = cut_off + REPEATED
        made[f"image and silence at {at} during a frame"] = cut_off + silence() + images[-1]
        made[f"image damaged at {at} during a frame"] = promise + damaged(at, 0x20) + images[-1]
    return made


def seeds() -> dict[str, bytes]:
    """The corpus: name to input."""
    made = dict(FOUND)
    info = request(Command.INFO)
    for name, valid in _requests().items():
        made[name] = valid
        made[f"{name} repeated"] = valid + REPEATED
        made[f"{name} cut"] = valid + cut(1) + REPEATED + cut(5) + REPEATED + cut(11) + info
        made[f"{name} damaged"] = valid + damaged(1, 1) + damaged(4, 0x80) + damaged(254, 0xFF)
        made[f"{name} without bytes"] = valid + without(0) + without(1) + without(3) + without(255)
        made[f"{name} with bytes twice"] = valid + doubled(0) + doubled(1) + doubled(254)
        number = Command[name]
        made[f"{name} with data"] = request(number, data=b"abc") + request(number, data=bytes(20))
        made[f"{name} of any argument"] = request(number, argument=0xFFFF, data=bytes(4))
    made |= _during_a_frame(made)
    for change in (-48, -4, -1, 1, 4, 100):
        made[f"image {change:+} bytes"] = image(Command.CLASSIFY, change=change) + image(
            Command.LEARN, 2, label="x", change=change
        )
    for size in (0, 1, 3, 4, 245, 246, 247, 248, 249, 250, 251, 252, 255):
        made[f"payload of {size} bytes"] = payload(bytes(range(1, 255)).ljust(255, b"\1")[:size])
        made[f"payload of {size} zeros"] = payload(bytes(size))
    for name, data in {
        "zeros": bytes(20), "no end": b"\0\5ab", "block past the end": b"\0\xffab\0",
        "ones": b"\0" + b"\1" * 40 + b"\0", "full blocks": (b"\0" + b"\xff" * 255) * 2 + b"\0",
        "alarm": b"!!!!\0", "text": b"\0hello\r\n\0", "a zero alone": b"\0\1\0",
        "two frames in one": cobs.encode(bytes(20)) * 2 + b"\0",
    }.items():  # fmt: skip
        made[name] = raw(data)
    made["flood"] = run(0x55, 28) + run(0, 1)
    made["flood of short pieces"] = raw(b"\2a\0" * 85) * 4
    made["flood of frames"] = (info + REPEATED * 30) * 2
    made["flood while it works"] = image(Command.LEARN, 9, 1, label="x") + run(0xAA, 20)
    made["silence in a frame"] = info + cut(6) + silence() + REPEATED + cut(20) + silence()
    made["short silence in a frame"] = info + cut(6) + silence(False) + raw(b"\0") + info
    made["silence before the end"] = raw(b"\0\3\1\5\1\5") + silence() + raw(b"\0")
    for number, what in enumerate(EVENTS):
        made[what] = (
            event(number) + image(Command.LEARN, label="x", argument=1) + image(Command.CLASSIFY)
            + request(Command.SELF_TEST, 3) + image(Command.CLASSIFY, 4, 1)
        )  # fmt: skip
    many = b"".join(image(Command.LEARN, n, n % 2, label=f"{n}", seed=n) for n in range(17))
    made["many classes"] = many + request(Command.NAMES, 20, 0x8000) + image(Command.CLASSIFY, 1, 1)
    made["many classes"] += request(Command.RESET, 30) + request(Command.NAMES, 31, 0x8005)
    return made


def random_input(rng: random.Random, corpus: list[bytes]) -> bytes:
    """Some inputs of the corpus in a row, with a few bytes changed, or none."""
    data = bytearray(b"".join(rng.sample(corpus, rng.randint(1, 4))))
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        at = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[at : at + rng.randint(1, 4)]
        else:
            data[at:at] = rng.randbytes(rng.randint(1, 4))
        data = data or bytearray(1)
    return bytes(data)


# --- what goes over the line ----------------------------------------------------------------------


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        return (self.bytes(1) or b"\0")[0]

    def bytes(self, count):
        part = self.data[self.at : self.at + count]
        self.at += len(part)
        return part


def _steps(data: bytes):
    """(kind, parameter, reader) of each step; the reader stands behind its first byte."""
    reader = _Reader(data)
    while reader.at < len(data):
        first = reader.byte()
        yield first & 7, first >> 3, reader


def _image_payload(reader, image_bytes):
    data = reader.bytes(4)
    if data[:1] == bytes([Command.LEARN]):
        data += reader.bytes(LABEL_BYTES)
    value = reader.byte()
    change = reader.byte()
    pixels = bytearray()
    for _ in range(max(0, image_bytes + (change ^ 0x80) - 0x80)):
        value = (value * 1664525 + 1013904223) & 0xFFFF_FFFF
        pixels.append(value >> 24)
    return data + pixels


def expand(data: bytes, *, image_bytes: int, capability: Capability) -> Iterator[bytes | float]:
    """What goes over the line: bytes, and silences in seconds. Events are left out.

    A WRITE to where it can stop the device ends it.
    """
    last, piece, total = b"", b"", 0
    for kind, parameter, reader in _steps(data):
        part = b""
        if kind == RAW:
            part = reader.bytes(reader.byte())
        elif kind in (FRAME, IMAGE):
            if kind == FRAME:
                content = bytearray(reader.bytes(reader.byte()))
            else:
                content = bytearray(_image_payload(reader, image_bytes))
            if len(content) > 3 and content[0] == Command.BENCH:
                content[3] = 0
            part = last = on_the_line(bytes(content))
        elif kind == REPEAT:
            part = last
        elif kind == DAMAGE:
            position, xor = reader.byte(), reader.byte()
            if last:
                part = _damage(last, position % len(last), xor, parameter)
        elif kind == CUT:
            part = last[: reader.byte()]
        elif kind == SILENCE:
            yield SILENCES[parameter > 0]
        elif parameter < _FIRST_EVENT:
            part = bytes([reader.byte()]) * 64 * (1 + parameter)
        *whole, piece = (piece + part).split(b"\0")
        if any(_stops(one, capability) for one in whole) or total + len(part) > _MOST_LINE:
            return
        total += len(part)
        if part:
            yield part


def _damage(last, position, xor, parameter):
    if parameter & 1:
        return last[:position] + last[position + 1 :]
    if parameter & 2:
        return last[: position + 1] + last[position:]
    return last[:position] + bytes([last[position] ^ xor]) + last[position + 1 :]


def _stops(piece, capability):
    """Whether a piece is a WRITE to what the firmware itself works with."""
    content = decode(piece)
    if not content or content[0] != Command.WRITE or len(content) < 12:
        return False
    (start,) = struct.unpack_from("<I", content, 4)
    memory = processor_memory(capability)
    for address in range(start, start + len(content) - 8, 4):
        place = address % _BUS_BYTES
        if place < REGISTER_MAP.window("WEIGHTS").base or (
            memory.start <= place < memory.start + memory.size
        ):
            return True
    return False


def frames_of(line: bytes) -> list[bytes]:
    """The payloads of the whole frames in it."""
    found = (decode(piece) for piece in line.split(b"\0") if piece)
    return [one for one in found if one is not None and len(one) >= 4]


def describe(data: bytes) -> str:
    """An input in words, a step a line."""
    lines = []
    for kind, parameter, reader in _steps(data):
        if kind in (RAW, FRAME):
            words = ("raw", "payload")[kind == FRAME]
            lines.append(f"{words}({reader.bytes(reader.byte())!r})")
        elif kind == IMAGE:
            head = reader.bytes(4)
            label = reader.bytes(LABEL_BYTES) if head[:1] == bytes([Command.LEARN]) else b""
            lines.append(f"image({head.hex()}, {label!r}, {reader.byte()}, {reader.byte()})")
        elif kind == REPEAT:
            lines.append("REPEATED")
        elif kind == DAMAGE:
            position, xor = reader.byte(), reader.byte()
            name = "without" if parameter & 1 else "doubled" if parameter & 2 else "damaged"
            lines.append(f"{name}({position}" + (f", {xor:#x})" if name == "damaged" else ")"))
        elif kind == CUT:
            lines.append(f"cut({reader.byte()})")
        elif kind == SILENCE:
            lines.append(f"silence({parameter > 0})")
        elif parameter < _FIRST_EVENT:
            lines.append(f"run({reader.byte()}, {1 + parameter})")
        else:
            lines.append(f"event({EVENTS[parameter - _FIRST_EVENT]!r})")
    return "\n".join(lines)

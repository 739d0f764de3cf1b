"""A device for the host tool's tests, written from `docs/protocol.md` alone: numbers, no imports.

`FakeDevice` is the device; `MemoryPort` is an open serial port with it behind, `pseudo_terminal` a
real one. Faults: what `Faults` says.
"""

import os
import struct
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

CLOCK = 36_000_000
SHAPE = (4, 6, 3)
IMAGE_BYTES = 4 * 6 * 3
CLASSES = [f"class {index}" for index in range(14)]
FEATURES = 8
CYCLES = 123_456
HASH = bytes(range(32))


def crc32(data):
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB8_8320 if crc & 1 else 0)
    return crc ^ 0xFFFF_FFFF


def stuff(data):
    """COBS, block by block."""
    out, block = bytearray(), bytearray()
    for byte in data:
        if byte:
            block.append(byte)
        if not byte or len(block) == 254:
            out += bytes([len(block) + 1]) + block
            block = bytearray()
            full = bool(byte)
    if not data or block or not full:
        out += bytes([len(block) + 1]) + block
    return bytes(out)


def unstuff(data):
    """The bytes of a frame; None if it ends within a block."""
    out, at = bytearray(), 0
    while at < len(data):
        code = data[at]
        if at + code > len(data):
            return None
        out += data[at + 1 : at + code]
        at += code
        if code < 255 and at < len(data):
            out.append(0)
    return bytes(out)


def frame(payload):
    return b"\0" + stuff(payload + struct.pack("<I", crc32(payload))) + b"\0"


@dataclass
class Faults:
    """What goes wrong.

    Lists are used up, one entry a request or reply: `lose_requests` and `lose_replies` (whether),
    `damage_replies` (byte to flip, or None), `late` (seconds), `double` (whether to send twice).
    `noise` comes before each reply. `alarm`: no firmware runs, the hardware sends "!". `dead`:
    nothing comes. `echo`: another bitstream, that sends back what it gets. `baud`: the only rate at
    which anything comes.
    """

    lose_requests: list = field(default_factory=list)
    lose_replies: list = field(default_factory=list)
    damage_replies: list = field(default_factory=list)
    late: list = field(default_factory=list)
    double: list = field(default_factory=list)
    noise: bytes = b""
    alarm: bool = False
    dead: bool = False
    echo: bool = False
    baud: int | None = None


def _next(faults, default=None):
    return faults.pop(0) if faults else default


class FakeDevice:
    """Takes bytes, gives [(seconds from now, bytes)]. Logit i of an image: its byte i, less 100."""

    def __init__(
        self, *, boot_error=0, protocol=1, map_version=2 << 16, features=FEATURES, window=2,
        **faults,
    ):  # fmt: skip
        self.faults = Faults(**faults)
        self.boot_error, self.protocol, self.map_version = boot_error, protocol, map_version
        self.features, self.window = features, window
        self.passed = True
        self.learned = {}  # label to [images, sums]
        self.saved = {}
        self.memory = {}
        self.executed = []  # (command, argument) of each request that was not a repeat
        self.counts = [0] * 8
        self.override = {}  # command to (status, data)
        self._buffer = b""
        self._last = self._last_reply = None

    def take(self, data):
        faults = self.faults
        if faults.dead:
            return []
        if faults.alarm:
            return [(0, b"!!!")]
        if faults.echo:
            return [(0, data)]
        out = []
        *pieces, self._buffer = (self._buffer + data).split(b"\0")
        for piece in filter(None, pieces):
            out += self._frame(piece)
        return out

    def _frame(self, piece):
        faults = self.faults
        payload = unstuff(piece)
        if payload is None or len(payload) < 8 or crc32(payload) != 0x2144_DF1C:
            self.counts[2 if payload is not None else 3] += 1
            return []
        if _next(faults.lose_requests):
            return []
        if payload == self._last:
            self.counts[1] += 1
            reply = self._last_reply
        else:
            reply = self._execute(payload[:-4])
            self._last, self._last_reply = payload, reply
        if _next(faults.lose_replies):
            return []
        line = bytearray(frame(reply))
        if (flip := _next(faults.damage_replies)) is not None:
            line[flip % len(line)] ^= 0x55
        times = 2 if _next(faults.double) else 1
        return [(_next(faults.late, 0), faults.noise + bytes(line) * times)]

    def _execute(self, payload):
        command, sequence, argument = struct.unpack("<BBH", payload[:4])
        self.executed.append((command, argument))
        self.counts[0] += 1
        if command in self.override:
            status, data = self.override[command]
        elif self.boot_error not in (0, 1, 10) and command in (3, 4, 5, 7, 8, 12):
            status, data = 4, b""
        else:
            status, data = getattr(self, f"_command{command}", self._unknown)(argument, payload[4:])
        return bytes([command | 0x80, sequence, status, self.boot_error]) + data

    def _unknown(self, argument, data):
        return 1, b""

    def _command1(self, argument, data):
        height, width, channels = SHAPE
        equal = 10 if self.passed else 9
        words = [self.protocol, 0x0001_0002, self.map_version, CLOCK, int(self.boot_error == 1)]
        words += [self.boot_error, equal, 10]
        words += struct.unpack("<8I", HASH)
        words += [IMAGE_BYTES, height, width, channels, len(CLASSES), self.features]
        words += [len(self.learned), 16, 0xEF4018, CYCLES, 3, self.window]
        return 0, struct.pack("<28I", *words) + b"tiny".ljust(32, b"\0")

    def _command2(self, argument, data):
        return 0, struct.pack("<3I", 10 if self.passed else 9, 10, CYCLES)

    def _logits(self, image):
        return [byte - 100 for byte in image[: len(CLASSES)]]

    def _command3(self, argument, data):
        learned = argument & 1
        if argument > (3 if self.window == 2 else 1):
            return 3, b""
        if len(data) != IMAGE_BYTES:
            return 2, b""
        if learned and not self.learned:
            return 7, b""
        self._frame_ran()
        logits = self._logits(data)
        if learned:  # not the nearest mean: the host only shows what comes
            logits = logits[: len(self.learned)]
        decision = logits.index(max(logits))
        head = struct.pack("<HHI", decision, len(logits), CYCLES)
        return 0, head + struct.pack(f"<{len(logits)}i", *logits)

    def _command4(self, argument, data):
        self._frame_ran()
        return 0, struct.pack(f"<{self.features + 1}I", CYCLES, *data[: self.features])

    def _command5(self, frames, data):
        return 0, struct.pack("<3I", frames, frames * (CYCLES + 100) & 0xFFFF_FFFF, CYCLES)

    def _command6(self, argument, data):
        return 0, struct.pack("<8I", *self.counts)

    def _command7(self, save, data):
        label, image = data[:16], data[16:]
        if label not in self.learned and len(self.learned) == 16:
            return 5, b""
        entry = self.learned.setdefault(label, [0, [0] * self.features])
        entry[0] += 1
        entry[1] = [a + b for a, b in zip(entry[1], image, strict=False)]
        self._frame_ran()
        if save:
            self._save()
        return 0, struct.pack("<2I", list(self.learned).index(label), entry[0])

    def _command8(self, argument, data):
        if data and data not in self.learned:
            return 6, b""
        self.learned = {key: one for key, one in self.learned.items() if data and key != data}
        self._save()
        return 0, struct.pack("<I", len(self.learned))

    def _command9(self, argument, data):
        self.learned = dict(self.saved)
        self.counts = [0] * 8
        return 0, b""

    def _command10(self, count, data):
        (address,) = struct.unpack("<I", data)
        if not 1 <= count <= 32:
            return 3, b""
        words = [self.memory.get(address + 4 * index, 0) for index in range(count)]
        return 0, struct.pack(f"<{count}I", *words)

    def _command11(self, argument, data):
        address, *words = struct.unpack(f"<{len(data) // 4}I", data)
        if not 1 <= len(words) <= 32:
            return 2, b""
        self.memory |= {address + 4 * index: word for index, word in enumerate(words)}
        return 0, b""

    def _command12(self, first, data):
        names = list(self.learned) if first & 0x8000 else [
            name.encode().ljust(16, b"\0") for name in CLASSES
        ]  # fmt: skip
        first &= 0x7FFF
        return 0, b"".join(names[first : first + 12])

    def _frame_ran(self):
        self.counts[5] += 1
        self.counts[6] += CYCLES

    def _save(self):
        self.saved = dict(self.learned)
        self.counts[7] += 1


class MemoryPort:
    """An open port in memory, with a device at its end. Reads wait as a serial port's do."""

    def __init__(self, device, *, baud=6_000_000):
        self.device, self.baud = device, baud
        self.closed = False
        self.fail = None
        self.sent = []
        self._coming = []  # (time, bytes)

    @property
    def in_waiting(self):
        now = time.monotonic()
        return sum(len(data) for at, data in self._coming if at <= now)

    def write(self, data):
        if self.fail:
            raise self.fail
        self.sent.append(bytes(data))
        if self.device.faults.baud not in (None, self.baud):
            return
        now = time.monotonic()
        self._coming += [(now + delay, answer) for delay, answer in self.device.take(bytes(data))]

    def say(self, data):
        """Bytes that the device sends without being asked."""
        self._coming.append((time.monotonic(), data))

    def read(self, count):
        if self.fail:
            raise self.fail
        end = time.monotonic() + 0.005
        while not self.in_waiting and time.monotonic() < end:
            time.sleep(0.0005)
        now = time.monotonic()
        due = b"".join(data for at, data in self._coming if at <= now)
        self._coming = [(at, data) for at, data in self._coming if at > now]
        if due[count:]:
            self._coming.insert(0, (0, due[count:]))
        return due[:count]

    def close(self):
        self.closed = True


@contextmanager
def pseudo_terminal(device):
    """The name of a pseudo-terminal with the device at its other end."""
    import tty  # POSIX alone has it, and the rest of this file serves everywhere

    ours, theirs = os.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)
    ended = threading.Event()

    def serve():
        import select

        while not ended.is_set():
            if select.select([ours], [], [], 0.01)[0]:
                for delay, answer in device.take(os.read(ours, 4096)):
                    time.sleep(delay)
                    os.write(ours, answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield name
    finally:
        ended.set()
        thread.join()
        os.close(ours)
        os.close(theirs)

"""The device as a host sees it: one method a command, every reply checked."""

import struct
from collections.abc import Iterable, Iterator, Sequence

from firmware.answers import Bench, Decision, Features, Info, Learned, SelfTest
from firmware.frames import INFO_FIELDS, INFO_NAME_BYTES, Reply
from firmware.link import Link, Request
from firmware.messages import FLASH_ANEW, HARMLESS, explain_status
from firmware.protocol import (
    CLASSIFY_LEARNED,
    CLASSIFY_MORE,
    LABEL_BYTES,
    MAX_READ_WORDS,
    PROTOCOL_VERSION,
    Command,
    Counter,
    Status,
)
from firmware.versions import compare, explain_boot
from hw.bus.registers import version_text
from hw.register_map import REGISTER_MAP
from model.common.errors import UserError

__all__ = ["Device", "DeviceError", "Refusal", "encode_label"]

_SAVE_SECONDS = 1.5  # three sectors erased (0.4 s each at most) and programmed; W25Q128JV, 9.6
_BOOT_SECONDS = 0.15  # measured: 0.13
_LEARNED_NAMES = 0x8000  # NAMES: of the learned classes
_MAX_BENCH = 0xFFFF


class DeviceError(UserError):
    """The device answers, but is not what was expected, or refuses, or contradicts itself."""


class Refusal(DeviceError):
    """The device refused a request; `reply` is what it said."""

    def __init__(self, command: Command, reply: Reply):
        super().__init__(
            f"The device refused {command.name}: {explain_status(reply.status, reply.boot_error)}"
        )
        self.reply = reply


class Device:
    """A device behind a link. It is asked for INFO at once.

    Parameters
    ----------
    link : Link
        To the device.
    starting : bool
        It may be starting just now, and answer later.

    Raises
    ------
    DeviceError
        Another protocol or register map.
    LinkError
        No answer, or the port failed.
    """

    def __init__(self, link: Link, *, starting: bool = False):
        self.link = link
        self.info = self.read_info(seconds=_BOOT_SECONDS if starting else 0)

    def read_info(self, *, seconds: float = 0.0) -> Info:
        """Ask for INFO anew. `seconds`: what the device may need before it answers."""
        data = self._ask(Command.INFO, seconds=seconds)
        # The version first: under another one, the rest may mean anything.
        if len(data) >= 4 and (version := _words(data[:4])[0]) != PROTOCOL_VERSION:
            raise DeviceError(
                compare(
                    "The board's firmware speaks protocol version",
                    version,
                    PROTOCOL_VERSION,
                    older=FLASH_ANEW,
                )
            )
        count = 4 * len(INFO_FIELDS)
        _check_length(Command.INFO, data, count + INFO_NAME_BYTES)
        self.info = Info(
            words=dict(zip(INFO_FIELDS, _words(data[:count]), strict=True)),
            network_name=_text(data[count:]),
        )
        if self.info.map_version >> 16 != REGISTER_MAP.version >> 16:
            raise DeviceError(
                compare(
                    "The board's bitstream has register map",
                    self.info.map_version,
                    REGISTER_MAP.version,
                    older=FLASH_ANEW,
                    text=version_text,
                )
            )
        if not self.info.clock_hz:
            raise DeviceError("The device tells a clock of 0 Hz")
        return self.info

    def require_ready(self) -> None:
        """Raise `DeviceError`, which says what would help, if the device has a boot error."""
        if not self.info.ready:
            raise DeviceError(f"The device does not classify: {explain_boot(self)}")

    def require_network(self, sha256: str | None, name: str) -> None:
        """Raise `DeviceError` if the device's network is another file than that of this hash."""
        held, given = self.info.network_hash, sha256 or "unsaved"
        if held != given:
            raise DeviceError(
                f"The device holds another network ({self.info.network_name or 'none'}, "
                f"{held[:12]}) than the file given ({name}, {given[:12]}): flash it with "
                "--network, or leave --network out"
            )

    def class_names(self, *, learned: bool = False) -> list[str]:
        """Names of the network's classes, or the learned labels, in order.

        A device whose names are damaged classifies all the same: then they are numbers.
        """
        count = self.read_info().learned if learned else self.info.classes
        names: list[str] = []
        while len(names) < count:
            first = len(names) + (_LEARNED_NAMES if learned else 0)
            try:
                data = self._ask(Command.NAMES, first)
            except Refusal as error:
                if error.reply.status == Status.NOT_READY and self.info.boot_error in HARMLESS:
                    return [f"class {number}" for number in range(count)]
                raise
            if not data or len(data) % LABEL_BYTES:
                raise DeviceError(
                    f"The device's reply to NAMES has {len(data)} bytes, with {len(names)} of "
                    f"{count} names known"
                )
            names += [_text(data[at : at + LABEL_BYTES]) for at in range(0, len(data), LABEL_BYTES)]
        return names[:count]

    def classify(
        self, images: Iterable[bytes], *, learned: bool = False, window: int = 2
    ) -> Iterator[Decision]:
        """The decision on each image, as they come; `learned`: among the learned labels.

        `window` requests may be under way at once, if the device says so too: then an image comes
        while the frame of the one before it runs. Otherwise each image is asked for when the
        decision before it has been given.
        """
        window = max(1, min(window, self.info.window))
        coming = _with_more(images) if window > 1 else ((image, False) for image in images)
        # The first one is sent alone: the device may have to fit its classifier before.
        requests = (
            self._request(
                Command.CLASSIFY,
                (CLASSIFY_LEARNED if learned else 0) | (CLASSIFY_MORE if number and more else 0),
                self._image(image),
                frames=window,
            )
            for number, (image, more) in enumerate(coming)
        )
        for reply in self.link.exchange(requests, window=window):
            data = self._check(Command.CLASSIFY, reply)
            _check_at_least(Command.CLASSIFY, data, 8)
            decision, classes, cycles = struct.unpack("<HHI", data[:8])
            _check_length(Command.CLASSIFY, data, 8 + 4 * classes)
            logits = list(struct.unpack(f"<{classes}i", data[8:]))
            if not logits or decision != logits.index(max(logits)):
                raise DeviceError(
                    f"The device's class {decision} is not the first maximum of its logits {logits}"
                )
            yield Decision(decision=decision, logits=logits, cycles=cycles)

    def features(self, images: Iterable[bytes]) -> Iterator[Features]:
        """The features of each image."""
        for image in images:
            data = self._ask(Command.FEATURES, 0, self._image(image), frames=1)
            _check_length(Command.FEATURES, data, 4 + 4 * self.info.features)
            cycles, *features = _words(data)
            yield Features(features=features, cycles=cycles)

    def self_test(self) -> SelfTest:
        """Load the network anew from flash and run the golden vectors."""
        frames = max(1, self.info.selftest_vectors)
        data = self._ask(Command.SELF_TEST, frames=frames, seconds=_BOOT_SECONDS)
        _check_length(Command.SELF_TEST, data, 12)
        equal, vectors, cycles = _words(data)
        return SelfTest(equal=equal, vectors=vectors, cycles=cycles)

    def bench(self, frames: int) -> Bench:
        """Run frames, at most 65,535, on the image that is there."""
        if not 1 <= frames <= _MAX_BENCH:
            raise ValueError(f"Frames must be 1 to {_MAX_BENCH}, not {frames}")
        data = self._ask(Command.BENCH, frames, frames=frames)
        _check_length(Command.BENCH, data, 12)
        done, cycles, frame_cycles = _words(data)
        if done != frames:
            raise DeviceError(f"The device ran {done} frames instead of {frames}")
        return Bench(frames=done, cycles=cycles, frame_cycles=frame_cycles)

    def counters(self) -> dict[Counter, int]:
        """What the device counts since its start."""
        data = self._ask(Command.COUNTERS)
        _check_length(Command.COUNTERS, data, 4 * len(Counter))
        return dict(zip(Counter, _words(data), strict=True))

    def learn(self, label: str, images: Sequence[bytes]) -> Iterator[Learned]:
        """Show images of a label, one after the other; the last one saves what was learned."""
        name = encode_label(label)
        for index, image in enumerate(images):
            save = index == len(images) - 1
            data = self._ask(
                Command.LEARN,
                int(save),
                name + self._image(image),
                frames=1,
                seconds=_SAVE_SECONDS if save else 0,
            )
            _check_length(Command.LEARN, data, 8)
            learned, shown = _words(data)
            yield Learned(index=learned, images=shown)

    def forget(self, label: str | None = None) -> int:
        """Forget a label, or all; saved at once. Returns how many are left."""
        name = b"" if label is None else encode_label(label)
        data = self._ask(Command.FORGET, 0, name, seconds=_SAVE_SECONDS)
        _check_length(Command.FORGET, data, 4)
        return _words(data)[0]

    def reset(self) -> Info:
        """Start the device anew, and wait until it answers."""
        _check_length(Command.RESET, self._ask(Command.RESET), 0)
        return self.read_info(seconds=_BOOT_SECONDS)

    def read(self, address: int, count: int) -> list[int]:
        """`count` words of the device's bus, from a byte address on."""
        words: list[int] = []
        while len(words) < count:
            part = min(MAX_READ_WORDS, count - len(words))
            data = self._ask(Command.READ, part, _word(address + 4 * len(words)))
            _check_length(Command.READ, data, 4 * part)
            words += _words(data)
        return words

    def write(self, address: int, words: Sequence[int]) -> None:
        """Write words to the device's bus, from a byte address on."""
        for first in range(0, len(words), MAX_READ_WORDS):
            part = b"".join(map(_word, words[first : first + MAX_READ_WORDS]))
            data = self._ask(Command.WRITE, 0, _word(address + 4 * first) + part)
            _check_length(Command.WRITE, data, 0)

    def _image(self, image: bytes) -> bytes:
        height, width, channels = self.info.image_shape
        if len(image) != height * width * channels:
            raise ValueError(
                f"Image must have {height} x {width} x {channels} bytes, not {len(image)}"
            )
        return image.ljust(self.info.image_bytes, b"\0")

    def _request(
        self,
        command: Command,
        argument: int = 0,
        data: bytes = b"",
        *,
        frames: int = 0,
        seconds: float = 0.0,
    ) -> Request:
        work = seconds + (frames * self.info.frame_seconds if frames else 0)
        return Request(command=command, argument=argument, data=data, seconds=work)

    def _ask(self, command: Command, *arguments, **work) -> bytes:
        return self._check(command, self.link.ask(self._request(command, *arguments, **work)))

    @staticmethod
    def _check(command: Command, reply: Reply) -> bytes:
        """The data of a reply; `DeviceError` if the device refused."""
        if reply.status != Status.OK:
            raise Refusal(command, reply)
        return reply.data


def encode_label(label: str) -> bytes:
    """A label as it goes over the line; `UserError` if it is empty, too long or has control
    characters."""
    data = label.encode()
    if not label.strip() or not label.isprintable():
        raise UserError(f"A label must have letters that can be printed, not {label!r}")
    if len(data) >= LABEL_BYTES:
        raise UserError(
            f"A label has at most {LABEL_BYTES - 1} bytes of UTF-8, but {label!r} has {len(data)}"
        )
    return data.ljust(LABEL_BYTES, b"\0")


def _with_more(images: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each image, and whether another one follows."""
    coming = iter(images)
    for image in coming:
        for following in coming:
            yield image, True
            image = following
        yield image, False


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("utf-8", "replace")


def _word(value: int) -> bytes:
    if not 0 <= value < 1 << 32:
        raise ValueError(f"Word or address must fit 32 bits, not {value:#x}")
    return value.to_bytes(4, "little")


def _words(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 4}I", data))


def _check_length(command: Command, data: bytes, expected: int) -> None:
    if len(data) != expected:
        raise DeviceError(
            f"The device's reply to {command.name} has {len(data)} bytes of data instead of "
            f"{expected}: it has another firmware; flash it anew"
        )


def _check_at_least(command: Command, data: bytes, expected: int) -> None:
    if len(data) < expected:
        _check_length(command, data, expected)

"""Frames: what a request and a reply look like on the line, and how they are told from other bytes.

A frame is COBS-encoded bytes, the last four of which are the CRC-32 of those before them; it stands
between zero bytes. Lines of text for people stand between zero bytes too. `docs/protocol.md` says
the same for those who write another host.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from cobs import cobs

from firmware.protocol import REPLY, BootError, Command, Status

__all__ = [
    "CRC_BYTES",
    "HEAD_BYTES",
    "INFO_FIELDS",
    "INFO_NAME_BYTES",
    "LONGEST_FRAME",
    "Other",
    "Reply",
    "Splitter",
    "decode",
    "encode",
    "on_the_line",
    "request",
]

HEAD_BYTES = 4
"""Bytes of a request or reply before its data."""

CRC_BYTES = 4

INFO_FIELDS = (
    "protocol_version",
    "firmware_version",  # major << 16 | minor
    "map_version",  # hw.register_map.REGISTER_MAP.version
    "clock_hz",
    "boot_copy",  # of the firmware: 0 or 1
    "boot_error",  # firmware.protocol.BootError
    "selftest_equal",  # golden vectors that were equal in the last self-test
    "selftest_vectors",  # and how many there were
    *(f"network_hash{word}" for word in range(8)),  # SHA-256 of the network file
    "image_bytes",  # of one image on the line, a multiple of 4
    "image_height",
    "image_width",
    "image_channels",
    "classes",
    "features",  # 0: this network cannot learn
    "learned",  # classes learned
    "max_learned",
    "flash_id",  # manufacturer << 16 | type << 8 | capacity
    "frame_cycles",  # of the slowest frame of the last self-test, by the engine's counter
    "demo",  # images of the stand-alone mode
    "window",  # CLASSIFY requests that may be under way at once
)
"""The u32 words of INFO's reply, in order; behind them the network's name."""

INFO_NAME_BYTES = 32
"""Bytes of the network's name in INFO's reply: UTF-8, filled with zero bytes."""

LONGEST_FRAME = 4096
"""More bytes than this without a zero byte are no frame: every reply is far shorter."""

_END = b"\0"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply that came whole.

    Parameters
    ----------
    command : int
        Of the request, a `Command` unless something is wrong.
    sequence : int
        Of the request.
    status, boot_error : int
        `Status` and `BootError`, or a number that this version does not know.
    data : bytes
        What the command returns.
    """

    command: int
    sequence: int
    status: int = Status.OK
    boot_error: int = BootError.NONE
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Other:
    """Bytes between zero bytes that are no reply: a line of text, or what a fault left of one."""

    data: bytes

    @property
    def text(self) -> str | None:
        """The text, without control characters around it; None if it is none."""
        try:
            text = self.data.decode().strip()
        except UnicodeDecodeError:
            return None
        return text if text and all(one.isprintable() or one in "\t\r\n" for one in text) else None


def encode(payload: bytes) -> bytes:
    """COBS of the payload and its CRC-32: no zero byte is in it."""
    return bytes(cobs.encode(payload + zlib.crc32(payload).to_bytes(CRC_BYTES, "little")))


def decode(encoded: bytes) -> bytes | None:
    """The payload of a frame; None if the COBS or the CRC is wrong."""
    try:
        whole = bytes(cobs.decode(encoded))
    except cobs.DecodeError:
        return None
    payload, crc = whole[:-CRC_BYTES], whole[-CRC_BYTES:]
    if len(crc) < CRC_BYTES or zlib.crc32(payload) != int.from_bytes(crc, "little"):
        return None
    return payload


def request(command: Command, sequence: int, argument: int = 0, data: bytes = b"") -> bytes:
    """A request's bytes on the line, zero bytes around them.

    Raises `ValueError` for a sequence number or argument that does not fit its bytes.
    """
    try:
        head = struct.pack("<BBH", command, sequence, argument)
    except struct.error as error:
        raise ValueError(
            f"Sequence number {sequence} or argument {argument} does not fit"
        ) from error
    return on_the_line(head + data)


def on_the_line(payload: bytes) -> bytes:
    """A payload's bytes on the line. The first zero byte ends whatever noise stands before it."""
    return _END + encode(payload) + _END


class Splitter:
    """Takes bytes as they come; gives the replies and other pieces that are whole."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def rest(self) -> bytes:
        """What came since the last zero byte."""
        return self._rest

    def feed(self, data: bytes) -> Iterator[Reply | Other]:
        """The pieces that `data` ends."""
        *whole, self._rest = (self._rest + data).split(_END)
        for piece in whole:
            if piece:
                yield _classify(piece)
        if len(self._rest) > LONGEST_FRAME:
            piece, self._rest = self._rest, b""
            yield Other(data=piece)


def _classify(piece: bytes) -> Reply | Other:
    payload = decode(piece)
    if payload is None or len(payload) < HEAD_BYTES or not payload[0] & REPLY:
        return Other(data=piece)
    command, sequence, status, boot_error = payload[:HEAD_BYTES]
    return Reply(
        command=command & ~REPLY,
        sequence=sequence,
        status=status,
        boot_error=boot_error,
        data=payload[HEAD_BYTES:],
    )

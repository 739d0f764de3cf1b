"""The protocol between host and device: frames, commands, statuses. The one place that says so.

`firmware.header` makes a C header of it. Frames are COBS-encoded and end with a zero byte; text for
people stands between zero bytes too, as plain lines (`docs/protocol.md`).
"""

from enum import IntEnum

from hw.compile.heads import MAX_FEATURES, MAX_LEARNED

__all__ = [
    "CLASSIFY_LEARNED",
    "CLASSIFY_MORE",
    "LABEL_BYTES",
    "MAX_FEATURES",
    "MAX_LEARNED",
    "MAX_READ_WORDS",
    "PROTOCOL_VERSION",
    "REPLY",
    "BootError",
    "Command",
    "Counter",
    "Status",
]

PROTOCOL_VERSION = 1
"""Of commands, replies, their words and numbers. Under every number, frames are as
`firmware.frames` has them, INFO is command 1 and answered with status 0, the first word of the
answer is this number, and `!` is the hardware's alarm: so that every host can tell."""

REPLY = 0x80
"""Set in the command byte of a reply."""

CLASSIFY_LEARNED, CLASSIFY_MORE = 1, 2
"""Bits of CLASSIFY's argument: among learned classes; the next CLASSIFY follows at once."""

LABEL_BYTES = 16
"""Bytes of a label or class name, filled with zero bytes: UTF-8, at most 15 of text."""

MAX_READ_WORDS = 32
"""Most words of one READ or WRITE."""


class Command(IntEnum):
    """First byte of a request.

    A request is: command u8, sequence number u8, argument u16; data; CRC-32 of all before. A reply
    is: command + REPLY u8, the request's sequence number u8, `Status` u8, `BootError` u8; data, if
    the status is OK; CRC-32. All numbers little-endian. A request that equals the one before byte
    for byte is not executed again: the reply is sent once more.
    """

    INFO = 1
    """Reply: the words that `firmware.frames.INFO_FIELDS` names; network name, 32 bytes."""

    SELF_TEST = 2
    """Loads the network anew and runs the golden vectors. Reply: u32 vectors that were equal, u32
    vectors, u32 cycles of the slowest of their frames."""

    CLASSIFY = 3
    """Argument: `CLASSIFY_LEARNED`, `CLASSIFY_MORE`. Data: image, filled to a multiple of 4 bytes.
    Reply: u16 class, u16 classes, u32 cycles, i32 a logit."""

    FEATURES = 4
    """Data: image. Reply: u32 cycles, u32 a feature, summed over the classifier's pixels."""

    BENCH = 5
    """Argument: frames, on the image that is there. Reply: u32 frames, u32 cycles of all by the
    timer, u32 cycles of the last frame by the engine's counter."""

    COUNTERS = 6
    """Reply: u32 for each `Counter`."""

    LEARN = 7
    """Argument 1: save. Data: label, image. Reply: u32 index of the label, u32 images of it."""

    FORGET = 8
    """Data: label, or nothing for all; saves. Reply: u32 classes left."""

    RESET = 9
    """Reply; then starts anew, as after power-on."""

    READ = 10
    """Argument: words. Data: u32 byte address. Reply: the words."""

    WRITE = 11
    """Data: u32 byte address, words."""

    NAMES = 12
    """Argument: number of the first, plus 0x8000 for learned ones. Reply: up to 12 names."""


class Status(IntEnum):
    """Third byte of a reply."""

    OK = 0
    UNKNOWN_COMMAND = 1
    WRONG_LENGTH = 2
    WRONG_ARGUMENT = 3
    NOT_READY = 4
    """The boot error forbids it."""
    FULL = 5
    """No room for one more label."""
    UNKNOWN_LABEL = 6
    NOTHING_LEARNED = 7
    FLASH_FAILED = 8
    """The flash does not hold what was written."""
    ENGINE_FAILED = 9
    """A frame did not end."""


class BootError(IntEnum):
    """Fourth byte of every reply, and what the red light blinks: the first thing that was wrong."""

    NONE = 0
    FIRMWARE_COPY = 1
    """The first copy of the firmware is damaged, or it hung; the second one runs. All works."""
    DIRECTORY = 2
    """The directory is damaged, or the flash is erased."""
    FORMAT = 3
    """The flash image has another format version."""
    HARDWARE = 4
    """It was made for another register map or capability."""
    WEIGHTS = 5
    PARAMETERS = 6
    LAYERS = 7
    GOLDEN = 8
    SELF_TEST = 9
    """A golden vector's logits differ."""
    DEMO = 10
    """The demo images or the names are damaged. All else works."""


class Counter(IntEnum):
    """What COUNTERS counts since the start."""

    REQUESTS = 0
    REPEATED = 1
    DAMAGED = 2
    """Frames whose CRC or COBS was wrong."""
    CUT = 3
    """Frames that ended early, or stopped in the middle."""
    OVERRUNS = 4
    FRAMES = 5
    """Images that the engine ran."""
    CYCLES = 6
    """Cycles of them, modulo 2 ** 32."""
    SAVES = 7

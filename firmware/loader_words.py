"""What openFPGALoader says, and what it means: its output is text for people, and its exit status
proves nothing. Lines are those of version 1.1.1, of earlier ones, and of other loaders where noted.
"""

import re
from dataclasses import dataclass

from firmware.usb import Chip, mend_usb
from hw.boards import Board

__all__ = [
    "NAME",
    "Scan",
    "decisive",
    "explain",
    "explain_flash",
    "explain_start",
    "failures",
    "read_scan",
    "verified",
]

NAME = "openFPGALoader"

_PACKAGES = "libusb-1.0-0 libftdi1-2 libhidapi-libusb0"

_LIBRARIES = (
    (
        r"error while loading shared libraries: (?:\S*/)?(\S+?):",
        f"{NAME} needs the system's {{0}}: run `sudo apt install {_PACKAGES}`",
    ),
    (
        r"Library not loaded: (\S+)",
        f"{NAME} needs the system's {{0}}: run `brew install libusb libftdi hidapi`",
    ),
)
"""Why it does not start, and what helps: its wheel has it without these libraries."""

_CAUSES = (
    (
        r"unable to open ftdi device: -3\b|device not found|No USB devices found",
        "No board found on USB: plug it in; or stop before the cable with --image-only",
    ),
    (
        r"unable to open ftdi device: -4\b|LIBUSB_ERROR_ACCESS|Error code -3\b",
        "No permission for the board's USB chip: {mend}",
    ),
    (
        r"unable to open ftdi device: -[56]\b|LIBUSB_ERROR_BUSY|Error code -6\b",
        "The board's USB chip is in use by another program: end it first",
    ),
)
"""Why it does not reach a board (libftdi's ftdi_usb_open_desc_index, libusb), and what helps."""

_FLASH_CAUSES = (
    (
        r"(?i)jedec id\s*: (?:0x)?(?:ff|00|ffffff|000000)$",
        "the board's flash chip does not answer: is the board powered, its flash wired to the USB "
        "chip (jumpers), and is it this board?",
    ),
    (
        r"(?i)protection is set|write[- ]protect",
        "the flash is write-protected: take the protection off (openFPGALoader --unprotect-flash)",
    ),
    (
        r"(?i)verif.*fail|fail.*verif|mismatch|differ",
        "the flash does not hold what was written: it is write-protected or locked, was not "
        "erased, is worn out, or its wiring or power is bad",
    ),
    (
        r"(?i)cdone.*fail|fail.*cdone",
        "the FPGA does not start from what was written: wrong bitstream for this board, or bad "
        "wiring",
    ),
)
"""What its words about the flash mean, and what would help: the first that fits."""

_FAILURE = re.compile(
    r"(?i)\b(fail(s|ed|ure|ures)?|errors?|mismatch(es|ed)?|can'?t|cannot|could not|unable|"
    r"timed? ?out|denied|not (found|verified|equal|matching|ok)|differ(s|ent)?|abort(s|ed)?|"
    r"corrupt(ed)?|segmentation|exception)\b"
)
_NO_FAILURE = re.compile(r"(?i)\b(0|no|without( any)?) (errors?|failures?|mismatch(es)?)\b")
_VERIFIED = re.compile(r"(?i)\bverif(y|ied|ication)\b[\w :.]*\b(ok|passed|succe\w+|done|good)\s*$")
_READ = re.compile(r"(?i)^read(ing| flash)\s*:.*\b100(\.0+)? ?%\s*(done)?$")


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What the loader lists on USB: chips with the board's ids; ``denied``: how many more there are
    that it may not open, and ``why``."""

    chips: tuple[Chip, ...]
    denied: int = 0
    why: str = ""


def explain(text: str, board: Board) -> str | None:
    """What the loader's output says about the way to the board that a user can mend, or None."""
    if reason := _first(_LIBRARIES, text):
        return reason
    causes = tuple((pattern, what.replace("{mend}", mend_usb(board))) for pattern, what in _CAUSES)
    return _first(causes, text)


def failures(text: str) -> list[str]:
    """The lines of the loader's output that tell of a failure."""
    return [line for line in _lines(text) if _FAILURE.search(_NO_FAILURE.sub("", line))]


def verified(text: str) -> bool:
    """Whether the loader says that it verified what it wrote, and that it was equal.

    Either in one line, or as openFPGALoader does: "Verifying write", a bar that reaches 100 %, and
    "Done". What it says besides is not looked at.
    """
    lines = _lines(text)
    if any(_VERIFIED.search(line) and not _FAILURE.search(line) for line in lines):
        return True
    starts = [at for at, line in enumerate(lines) if line.lower().startswith("verifying")]
    if not starts:
        return False
    after = lines[starts[-1] + 1 :]
    bars = [line for line in after if line.lower().startswith("read")]
    rest = [line for line in after if line not in bars]
    if not bars or not (whole := _READ.search(bars[-1])):
        return False
    if whole[3]:
        return True
    return bool(rest) and rest[0].lower() == "done" and after.index(rest[0]) == len(bars)


def read_scan(text: str, board: Board) -> Scan | None:
    """The loader's list of USB devices; None if this is none.

    A head ("Bus device vid:pid probe_type manufacturer serial product") names columns, which are
    as wide as what they hold; a device that it may not open is an error instead.
    """
    lines = _lines(text, keep=True)
    heads = [line for line in lines if line.startswith("Bus device")]
    if not heads:
        return None
    columns = {name: heads[0].find(name) for name in ("manufacturer", "serial", "product")}
    ids = (board.usb_chip().vendor, board.usb_chip().product)
    chips = []
    for line in lines:
        found = re.match(r"(\d+) (\d+)\s+0x([0-9a-fA-F]{4}):0x([0-9a-fA-F]{4})\s", line)
        if not found or (int(found[3], 16), int(found[4], 16)) != ids:
            continue
        serial = line[columns["serial"] : columns["product"]].strip()
        name = line[columns["product"] :].strip()
        chips.append(
            Chip(
                name="" if name == "none" else name,
                serial="" if serial == "none" else serial,
                bus=int(found[1]),
                address=int(found[2]),
                seen=True,
            )
        )
    denied = [
        line[line.index("Error: can't open") :]
        for line in lines
        if re.search(rf"Error: can't open .*0x{ids[0]:04x}:0x{ids[1]:04x}", line)
    ]
    why = (explain(denied[0], board) or denied[0]) if denied else ""
    return Scan(chips=tuple(chips), denied=len(denied), why=why)


def explain_start(text: str) -> str | None:
    """What keeps the loader from starting that a user can mend, or None."""
    return _first(_LIBRARIES, text)


def explain_flash(text: str) -> str | None:
    """What the loader's words about the flash mean, or None."""
    return _first(_FLASH_CAUSES, text)


def decisive(said: list[str]) -> bool:
    """Whether a complaint is about the flash or the start, not about something by the way."""
    return explain_flash("\n".join(said)) is not None or any(
        re.match(r"(?i)fail(ed)?\W*$", line) for line in said
    )


def _first(causes: tuple[tuple[str, str], ...], text: str) -> str | None:
    """The meaning of the first pattern that a line of the text has."""
    for pattern, meaning in causes:
        for line in _lines(text):
            if found := re.search(pattern, line):
                return meaning.format(*found.groups()) if found.groups() else meaning
    return None


def _lines(text: str, *, keep: bool = False) -> list[str]:
    """Lines that say something, without colours; of a progress bar, each state is a line."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    lines = re.split(r"[\r\n]+", plain)
    return [line if keep else line.strip() for line in lines if line.strip()]

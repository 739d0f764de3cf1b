"""openFPGALoader: an image goes into a board's flash, and what proves that it is there.

The exit status proves nothing: with version 1.1.1 a failed verification of an iCE40 board exits
with 0. So a write counts as done if the loader says in its own words that it verified it, or if
the flash, read back, is equal to the image. Any word of failure counts as a failure.
"""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from firmware.ports import MEND_USB
from firmware.usb import Chip
from hw.boards import Board
from hw.tools import Toolchain
from model.errors import UserError

__all__ = ["Evidence", "Loader", "Scan", "explain", "failures", "read_scan", "verified"]

_TOOL = "openfpgaloader"
_NAME = "openFPGALoader"
_SECONDS = 20  # for its version, and for a list of what is on USB: each takes less than one

_PACKAGES = "libusb-1.0-0 libftdi1-2 libhidapi-libusb0"

_LIBRARIES = (
    (
        r"error while loading shared libraries: (?:\S*/)?(\S+?):",
        f"{_NAME} needs the system's {{0}}: run `sudo apt install {_PACKAGES}`",
    ),
    (
        r"Library not loaded: (\S+)",
        f"{_NAME} needs the system's {{0}}: run `brew install libusb libftdi hidapi`",
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
        f"No permission for the board's USB chip: {MEND_USB}",
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


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What proves that the flash holds an image.

    ``by`` is "loader" (its own verification), "read-back" (compared here), or None: nothing does,
    and ``text`` says why.
    """

    by: str | None
    text: str


class Loader:
    """openFPGALoader, for one kind of board.

    Parameters
    ----------
    board : Board
        Whose USB chip and flash.
    tools : Toolchain
        That finds and runs the program.
    """

    def __init__(self, board: Board, tools: Toolchain):
        self._board, self._tools = board, tools

    def check(self) -> None:
        """Raise `UserError`, with what to install, if the program is missing or cannot start."""
        status, text = self._ask("--Version")
        if reason := _first(_LIBRARIES, text):
            raise UserError(reason)
        if status is None or status < 0 or status in (126, 127):
            raise UserError(f"{_NAME} does not run: {_ended(status)}: {text or 'it says nothing'}")

    def scan(self) -> Scan | None:
        """What is on USB, as the loader sees it; None if it cannot list that."""
        status, text = self._ask("--scan-usb")
        return read_scan(text, self._board) if status == 0 else None

    def write(self, image: bytes, *, chip: Chip | None, logs: Path) -> Evidence:
        """Write an image to the flash from its start, and find out whether it is there.

        `chip` is the board's; None: the loader takes the first one. What the loader says is in the
        files flash.log and flash-read.log of the folder `logs`.

        Raises `UserError` where writing failed: status 2 if the board was not reached, else 1.
        """
        log = logs / "flash.log"
        with tempfile.TemporaryDirectory(prefix="dham-flash-") as directory:
            # A name of our own: the loader takes a file's kind from its ending.
            file = Path(directory, "flash.bin")
            file.write_bytes(image)
            self._run(["-f", "--verify", file], chip, log)
            text = log.read_text("utf-8", "replace").partition("\n")[2]
            said, equal = failures(text), verified(text)
            if said and (not equal or _decisive(said)):
                raise _not_flashed(said, text, log)
            if equal and not said:
                return Evidence(by="loader", text=f"{_NAME} read it back and found it equal")
            # It says nothing of a verification, or complains of something else: compared here.
            return self._read_back(image, Path(directory, "read.bin"), chip, logs)

    def _read_back(self, image: bytes, file: Path, chip: Chip | None, logs: Path) -> Evidence:
        log = logs / "flash-read.log"
        try:
            self._run(["--dump-flash", "--file-size", str(len(image)), file], chip, log)
            found = file.read_bytes()
        except (UserError, OSError):
            found = b""
        if len(found) != len(image):
            told = f"gave {len(found):,} of {len(image):,} bytes" if found else "gave nothing"
            return Evidence(
                by=None,
                text=f"{_NAME} does not say that it verified the flash, and reading it back {told} "
                f"(logs: {logs / 'flash.log'}, {log})",
            )
        if found == image:
            return Evidence(by="read-back", text="read back and compared, byte for byte")
        at = next(index for index, byte in enumerate(image) if found[index] != byte)
        wrong = sum(one != other for one, other in zip(found, image, strict=True))
        if not found.strip(b"\xff"):
            state = "it is erased, or does not answer: all that was read is FF"
        else:
            state = (
                f"{wrong:,} of {len(image):,} bytes differ, the first at {at:#x} ({found[at]:02x} "
                f"instead of {image[at]:02x})"
            )
        raise UserError(
            f"The board is not flashed: read back, the flash does not hold the image: {state}; is "
            f"it write-protected or locked, or its wiring bad? log: {log}",
            status=1,
        )

    def _run(self, arguments: list[str | Path], chip: Chip | None, log: Path) -> None:
        # Not --ftdi-serial: version 1.1.1 takes that option and ignores it for iCE40 boards.
        place = ["--busdev-num", chip.place] if chip is not None and chip.place else []
        log.unlink(missing_ok=True)  # an earlier one explains nothing
        try:
            self._tools.run(_TOOL, ["-b", self._board.usb.loader, *place, *arguments], log=log)
        except UserError as error:
            if not log.is_file():
                raise
            text = log.read_text("utf-8", "replace")
            if reason := explain(text):
                raise UserError(f"{reason} (log: {log})") from error
            if _first(_FLASH_CAUSES, text):
                raise _not_flashed(failures(text), text, log) from error
            raise UserError(f"{error}; the flash may be written in part: flash anew") from error

    def _ask(self, option: str) -> tuple[int | None, str]:
        """Exit status (None: it did not start or end) and output of the loader with one option."""
        program = self._tools.find(_TOOL)
        try:
            done = subprocess.run(
                [program, option],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return None, str(error)
        return done.returncode, done.stdout.decode("utf-8", "replace").strip()


def _decisive(said: list[str]) -> bool:
    """Whether a complaint is about the flash or the start, not about something by the way."""
    return _first(_FLASH_CAUSES, "\n".join(said)) is not None or any(
        re.match(r"(?i)fail(ed)?\W*$", line) for line in said
    )


def _not_flashed(said: list[str], text: str, log: Path) -> UserError:
    what = _first(_FLASH_CAUSES, text) or "the flash may hold neither the old nor the new image"
    return UserError(
        f"The board is not flashed: {_NAME} says {' | '.join(said[:3])!r}: {what}; log: {log}",
        status=1,
    )


def explain(text: str) -> str | None:
    """What the loader's output says about the way to the board that a user can mend, or None."""
    return _first((*_LIBRARIES, *_CAUSES), text)


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
    ids = (board.usb.vendor, board.usb.product)
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
    why = (explain(denied[0]) or denied[0]) if denied else ""
    return Scan(chips=tuple(chips), denied=len(denied), why=why)


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


def _ended(status: int | None) -> str:
    if status is None:
        return "it did not start or did not end"
    return f"killed by signal {-status}" if status < 0 else f"status {status}"
